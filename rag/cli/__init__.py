"""The command `fuente`."""

import logging
import sys

from index.errors import StoreError
from ingest.errors import IngestError
from models import ModelError
from rag.cli import asking, evaluating, library, preparing
from rag.cli.options import app
from rag.errors import RagError
from rag.evaluation import EvaluationError

__all__ = ["app", "asking", "evaluating", "library", "main", "preparing"]

# Every error of ours states the value, the rule and the mend; a traceback would only hide that.
_EXPECTED = (IngestError, StoreError, ModelError, RagError, EvaluationError, ValueError, OSError)


def main() -> None:
    """Runs the command line and exits with 0, or 1 when the command failed, or 2 for wrong usage."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG
    try:
        app()
    except _EXPECTED as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
