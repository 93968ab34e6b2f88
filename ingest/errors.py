"""Errors of ingestion.

IngestError
├── UnreadableFileError   damaged, encrypted, wrong format, refused by a guard
├── EmptyFileError        nothing to read in it
├── OversizeFileError     larger than the configured limit
└── UnsupportedFileError  no reader for the format, or an optional reader is not installed
"""

from pathlib import Path


class IngestError(Exception):
    """A file could not be ingested: names the file, the rule that it breaks and the mend."""

    rule = "ingest"

    def __init__(self, path: Path, reason: str, mend: str) -> None:
        super().__init__(f"{path}: {reason}. {mend}")
        self.path = path
        self.reason = reason
        self.mend = mend


class UnreadableFileError(IngestError):
    rule = "unreadable"


class EmptyFileError(IngestError):
    rule = "empty"


class OversizeFileError(IngestError):
    rule = "oversize"


class UnsupportedFileError(IngestError):
    rule = "unsupported"
