"""From the paths that a person names to the files to read."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from ingest.errors import UnreadableFileError
from ingest.readers import SUPPORTED_SUFFIXES

_SKIPPED_FOLDERS = frozenset(("__macosx", "__pycache__", "node_modules", "venv", "site-packages", "$recycle.bin"))
_SKIPPED_FILES = frozenset(("thumbs.db", "desktop.ini"))


def discover(
    paths: Sequence[Path],
    *,
    suffixes: Collection[str] = SUPPORTED_SUFFIXES,
    follow_symlinks: bool = False,
    on_skip: Callable[[Path], None] | None = None,
) -> Iterator[Path]:
    """Every file to read, once, in the order of `paths` and sorted by name within each folder.

    A file that is named is always yielded, so that one without a reader is reported and not lost. In
    folders, a file with another suffix goes to `on_skip`; hidden files, lock files and folders of
    machinery are passed over in silence. A symbolic link that is named is followed, one inside a folder
    only with `follow_symlinks`.

    Raises:
        UnreadableFileError: a path does not exist, or a folder cannot be listed.
    """
    for path in paths:
        if not path.exists():
            raise UnreadableFileError(path, "does not exist", "Check its spelling, or leave it out")
    seen: set[str] = set()
    for path in paths:
        for file, identity in _files(path, follow_symlinks) if path.is_dir() else ((path, os.path.realpath(path)),):
            if identity in seen:
                continue
            seen.add(identity)
            if file == path or file.suffix.lower() in suffixes:
                yield file
            elif on_skip:
                on_skip(file)


def is_passed_over(parts: Sequence[str]) -> bool:
    """Whether `discover` passes over in silence what is called so, name by name, below a folder that it reads."""
    *folders, name = parts
    return _is_ignored(name, _SKIPPED_FILES | _SKIPPED_FOLDERS) or any(
        _is_ignored(folder, _SKIPPED_FOLDERS) for folder in folders
    )


def _files(folder: Path, follow_symlinks: bool) -> Iterator[tuple[Path, str]]:
    """The visible regular files below a folder, each folder's own before its folders', with their real paths."""
    pending = [folder]
    entered: set[str] = set()
    while pending:
        current = pending.pop()
        # Once a folder: resolving every file took half the time of a sync that finds nothing new.
        real = os.path.realpath(current)
        if real in entered:
            continue  # a link back up
        entered.add(real)
        folders: list[Path] = []
        for entry in _entries(current):
            linked = entry.is_symlink()
            if linked and not follow_symlinks:
                continue
            if entry.is_file():
                if not _is_ignored(entry.name, _SKIPPED_FILES):
                    path = current / entry.name
                    yield path, os.path.realpath(path) if linked else os.path.join(real, entry.name)  # noqa: PTH118
            elif entry.is_dir() and not _is_ignored(entry.name, _SKIPPED_FOLDERS):
                folders.append(current / entry.name)
        pending.extend(reversed(folders))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, sorted without regard to case, then by code point."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: (entry.name.casefold(), entry.name))
    except OSError as error:
        raise UnreadableFileError(
            folder, f"cannot be listed ({error.strerror})", "Check that you may read it"
        ) from error


def _is_ignored(name: str, names: Collection[str]) -> bool:
    return name.startswith((".", "~$")) or name.casefold() in names
