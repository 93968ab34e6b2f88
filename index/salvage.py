"""Reads a damaged store as far as it can be read, row by row, and keeps the documents that are whole.

Rows are walked from both ends of a table and around every page that cannot be read; a row counts when its seal
says that it is as it was written. A document counts when all of it is there: its own row and text, a source, and
chunks, with vectors, that hold every character of the text that is not blank.
"""

import shutil
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import batched as _batched
from pathlib import Path
from typing import Any
