"""Errors of the index.

StoreError
├── IndexNotFoundError   no index in the folder
├── IndexDamagedError    a file's checksum, size or relation is wrong
├── IndexMismatchError   built with another embedder, prefix, dimension or chunking, or by a newer version
│   └── IndexOutdatedError   written by an older version; a writer migrates it
├── IndexBusyError       another process is writing
├── IndexStorageError    the disk is full or refuses
├── ArchiveError         a backup cannot be written or restored
└── UnknownSourceError   no such document

ModelError, of models
└── RerankError          the model cannot compare passages with a question
"""

from pathlib import Path

from models.errors import ModelError


class StoreError(Exception):
    """The index could not do what was asked: states the folder, the rule and the mend."""

    def __init__(self, path: Path, reason: str, mend: str) -> None:
        super().__init__(f"{path}: {reason}. {mend}")
        self.path = path
        self.reason = reason
        self.mend = mend


class IndexNotFoundError(StoreError):
    pass


class IndexDamagedError(StoreError):
    pass


class IndexMismatchError(StoreError):
    pass


class IndexOutdatedError(IndexMismatchError):
    pass


class IndexBusyError(StoreError):
    pass


class IndexStorageError(StoreError):
    pass


class ArchiveError(StoreError):
    pass


class UnknownSourceError(StoreError):
    pass


class RerankError(ModelError):
    pass
