"""Errors of ingestion. In quotation marks, the rule by which a report names each.

IngestError
├── UnreadableFileError   "unreadable"   damaged, of another format, or changed while it was read
│   ├── EncryptedFileError    "encrypted"    asks for a password, or is protected against copying
│   ├── UnsafeXmlError        "entities"     declares XML entities or a document type, or may hide one
│   ├── NestedFileError       "nesting"      nested more deeply than documents are
│   ├── TimeLimitError        "timeout"      its reader took too long
│   ├── MemoryLimitError      "memory"       its reader needed too much memory
│   └── ReaderCrashError      "crash"        its reader failed or ended
├── EmptyFileError        "empty"        nothing to read in it
├── OversizeFileError     "oversize"     larger than a limit
│   └── BombFileError         "bomb"         unpacks to far more than it is
└── UnsupportedFileError  "unsupported"  no reader for the format, or an optional reader is not installed
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


class EncryptedFileError(UnreadableFileError):
    rule = "encrypted"


class UnsafeXmlError(UnreadableFileError):
    rule = "entities"


class NestedFileError(UnreadableFileError):
    rule = "nesting"


class TimeLimitError(UnreadableFileError):
    rule = "timeout"


class MemoryLimitError(UnreadableFileError):
    rule = "memory"


class ReaderCrashError(UnreadableFileError):
    rule = "crash"


class EmptyFileError(IngestError):
    rule = "empty"


class OversizeFileError(IngestError):
    rule = "oversize"


class BombFileError(OversizeFileError):
    rule = "bomb"


class UnsupportedFileError(IngestError):
    rule = "unsupported"
