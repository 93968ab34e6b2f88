"""The command `fuente`."""

import io
import logging
import sqlite3
import sys

from index.errors import StoreError
from ingest.errors import IngestError
from models import ModelError
from rag.cli import asking, evaluating, finetuning, keeping, library, preparing, speaking, tuning
from rag.cli.options import app
from rag.cli.rendering import plain
from rag.errors import RagError
from rag.evaluation import EvaluationError

__all__ = ["app", "asking", "evaluating", "finetuning", "keeping", "library", "main", "preparing", "speaking", "tuning"]

# Every error of ours states the value, the rule and the mend; a traceback would only hide that.
# SQLite's tell of a full disk or a folder without write permission.
_EXPECTED = (IngestError, StoreError, ModelError, RagError, EvaluationError, ValueError, OSError, sqlite3.Error)


def main() -> None:
    """Runs the command line and exits with 0, or 1 when the command failed, or 2 for wrong usage."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Whatever the locale: JSON is UTF-8, and no file name is beyond printing.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        app()
    except _EXPECTED as error:
        print("error:", " ".join(plain(str(error)).split()), file=sys.stderr)
        sys.exit(1)
