"""Errors of the index.

StoreError
├── IndexNotFoundError   no index in the folder
├── IndexDamagedError    a file's checksum, size or relation is wrong
├── IndexMismatchError   built with another embedder, prefix, dimension or chunking
├── IndexBusyError       another process is writing
└── UnknownSourceError   no such document
"""

from pathlib import Path


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


class IndexBusyError(StoreError):
    pass


class UnknownSourceError(StoreError):
    pass
