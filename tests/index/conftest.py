"""The library that the tests of the index share."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.index.library import Library

_MEMORY = "/dev/shm"  # noqa: S108 - TemporaryDirectory makes a folder of its own in it


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory where there is such a thing: these tests flush thousands of times, a minute on a busy disk."""
    with TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as name:
        yield Path(name)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """An empty folder of files, not indexed yet."""
    (tmp_path / "files").mkdir()
    return Library(tmp_path / "files", tmp_path / "index")
