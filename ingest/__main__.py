"""`python -m ingest PATH…` is `fuente ingest PATH…`."""

import sys

from rag.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["ingest"]
    main()
