"""Which files an ingest reads, under which names."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.discovery import discover
from ingest.pictures import IMAGE_SUFFIXES, PICTURED_SUFFIXES
from ingest.readers import SUPPORTED_SUFFIXES


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """The files whose `texts` are read and those whose `pictures` are, many of them the same.

    `left_out` lie in a folder and are of another kind; `folders` are those that were named.
    """

    texts: Sequence[Path]
    pictures: Sequence[Path]
    left_out: Sequence[str]
    folders: Sequence[Path]


def source_files(paths: Sequence[str | Path], *, index: Path, pictures: bool) -> SourceFiles:
    """The files that are named and those in folders that are named; `pictures` says whether these are read.

    The index may lie among the documents: its own files are none of them, the uploads below it are.

    Raises: UnreadableFileError for a path that does not exist.
    """
    given = [named_path(path) for path in paths]
    own = named_path(index)
    generated = tuple(str(own / name) for name in ("gen-", questions_folder(own), pictures_folder(own)))
    skipped: list[Path] = []
    found = discover(given, suffixes=read_suffixes(pictures=pictures), on_skip=skipped.append)
    files = [path for path in found if not str(path).startswith(generated)]
    images = IMAGE_SUFFIXES if pictures else frozenset[str]()
    return SourceFiles(
        texts=[path for path in files if path.suffix.lower() not in images],
        pictures=[path for path in files if pictures and path.suffix.lower() in PICTURED_SUFFIXES],
        left_out=[str(path) for path in skipped if not path.is_relative_to(own)],
        folders=[path for path in given if path.is_dir()],
    )


def read_suffixes(*, pictures: bool) -> frozenset[str]:
    """The suffixes of the files that are read in folders."""
    return SUPPORTED_SUFFIXES | IMAGE_SUFFIXES if pictures else SUPPORTED_SUFFIXES


def questions_folder(index: Path) -> Path:
    """Where question sets about the documents of an index are kept; they are no documents."""
    return index / "questions"


def pictures_folder(index: Path) -> Path:
    """Where the pictures of an index's documents are indexed."""
    return index / "pictures"


def named_path(path: str | Path) -> Path:
    """The absolute path under which a file is stored and cited; without "..", and links are not followed."""
    # resolve() would follow links, and Path.expanduser() fails for a name such as ~$notes.docx.
    return Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111
