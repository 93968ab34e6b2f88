"""The worker half of the sandbox: it reads the files that it is told of and answers with extracts.

It imports the readers and nothing else of ours, so that it starts fast and stays small.
"""

import ctypes
import gc
import json
import os
import platform
import signal
import struct
import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal

from ingest.errors import IngestError, MemoryLimitError, OversizeFileError, ReaderCrashError
from ingest.pictures import packed, read_pictures
from ingest.readers import read
from ingest.types import Extract

if sys.platform != "win32":
    import resource

Message = Mapping[str, Any]
Wanted = Literal["text", "pictures"]
Frame = tuple[bytes, bytes, bytes]

MAX_MESSAGE_BYTES = 32 * 2**20  # some two million headings and blocks, ten times as large once parsed
MAX_TEXT_BYTES = 512 * 2**20
_LENGTHS = struct.Struct(">QQ")
_MAX_OPEN_FILES = 64
_MAX_DETAIL_CHARACTERS = 200

_FORBIDDEN_EVENTS = (
    "ctypes.dlopen", "os.chflags", "os.chmod", "os.chown", "os.exec", "os.fork", "os.kill", "os.link", "os.mkdir",
    "os.posix_spawn", "os.remove", "os.rename", "os.rmdir", "os.setxattr", "os.spawn", "os.startfile", "os.symlink",
    "os.system", "os.truncate", "os.utime", "pty.spawn", "socket.", "sqlite3.connect", "subprocess.",
)  # fmt: skip
_WRITING_MODES = frozenset("wax+")
_WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# Numbers of the calls of Linux on its two usual machines that are refused whatever their arguments: sockets,
# programs, signals, changes of the file system, and what reaches into other processes or the kernel.
_REFUSED_CALLS = {
    "x86_64": (
        41, 42, 43, 44, 46, 49, 50, 53, 57, 58, 59, 62, 76, 82, 83, 84, 85, 86, 87, 88, 90, 91, 92, 93, 94, 101, 129,
        132, 133, 160, 161, 165, 166, 175, 188, 189, 190, 197, 198, 199, 200, 234, 235, 246, 250, 258, 259, 260, 261,
        263, 264, 265, 266, 268, 272, 280, 297, 298, 302, 308, 310, 311, 313, 316, 321, 322,
    ),
    "aarch64": (
        5, 6, 7, 14, 15, 16, 33, 34, 35, 36, 37, 38, 39, 40, 45, 51, 52, 53, 54, 55, 88, 97, 104, 105, 117, 129, 130,
        131, 138, 164, 198, 199, 200, 201, 202, 203, 206, 211, 219, 221, 240, 241, 261, 268, 270, 271, 273, 276, 280,
        281,
    ),
}  # fmt: skip
_REFUSED_EVERYWHERE = (424, 425, 428, 429, 430, 431, 432, 433, 434, 438, 442, 452)
_MISSING_CALLS = (435, 437)  # clone3 and openat2 hide their flags in memory; the C library goes on without them
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_OPEN_CALLS = {"x86_64": ((2, 1), (257, 2)), "aarch64": ((56, 2),)}  # number, position of the flags
_CLONE_CALLS = {"x86_64": 56, "aarch64": 220}
_CLONE_THREAD = 0x10000
_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000  # the first needs rights, which are had within the second

# The instructions of a filter, of Linux's linux/bpf_common.h and linux/seccomp.h.
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x50001, 0x50026
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32_CALLS = 0x40000000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _SECCOMP_FILTER = 38, 22, 2


class ForbiddenError(Exception):
    """A reader tried to leave its confinement; no OSError, which a library might take for a missing file."""


def serve(memory_bytes: int, timeout_s: int) -> None:
    """Answer requests on standard input until it ends.

    Every reader is imported before the limits begin. On Windows only the parent's time limit and the refusals
    of Python itself apply, and outside Linux the limit on memory does not, for want of a call that keeps it.
    """
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a library that prints cannot break into the replies
    # Parsers build trees of live objects, which the collector walks in vain: without it a page of 300,000 tags
    # takes 4 s and not 11. What they leave is collected after each file, apart from the modules.
    gc.disable()
    gc.freeze()
    confine(memory_bytes)
    send(replies, frame({"ready": True}))
    while (request := receive(sys.stdin.buffer)) is not None:
        if sys.platform != "win32":
            signal.alarm(timeout_s)  # ends a worker whose parent is gone
        send(replies, _answer(request[0]))
        gc.collect()
        if sys.platform != "win32":
            signal.alarm(0)


def frame(message: Message, text: str = "") -> Frame:
    """A message and its text as they are sent: their lengths in 8 bytes each, JSON, UTF-8.

    Raises:
        OverflowError: longer than `receive` takes.
    """
    head, body = json.dumps(message).encode("ascii"), text.encode()
    if len(head) > MAX_MESSAGE_BYTES or len(body) > MAX_TEXT_BYTES:
        raise OverflowError(f"a message of {len(head)} + {len(body)} bytes, more than one may have")
    return _LENGTHS.pack(len(head), len(body)), head, body


def send(stream: IO[bytes], parts: Frame) -> None:
    """Write what `frame` made."""
    for part in parts:
        stream.write(part)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[Message, str] | None:
    """The next message and its text, or None when the stream ends before they are whole.

    Raises:
        ValueError: longer than a message may be, no JSON, or no UTF-8.
        TypeError: no JSON object.
    """
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    head_bytes, text_bytes = _LENGTHS.unpack(lengths)
    if head_bytes > MAX_MESSAGE_BYTES or text_bytes > MAX_TEXT_BYTES:
        raise ValueError(f"a message of {head_bytes} + {text_bytes} bytes, more than one may have")
    head, text = stream.read(head_bytes), stream.read(text_bytes)
    if len(head) < head_bytes or len(text) < text_bytes:
        return None
    message = json.loads(head)
    if not isinstance(message, dict):
        raise TypeError("a message that is no object")
    return message, text.decode()


def _answer(request: Message) -> Frame:
    """The extract, or the error with its rule; whatever a library raises is one, and ends only this file."""
    path = Path(request["path"])
    try:
        if request["wanted"] == "pictures":
            return frame(*packed(read_pictures(path, max_bytes=request["max_bytes"])))
        extract = read(path, max_bytes=request["max_bytes"])
        return frame(_structure(extract), extract.text)
    except IngestError as error:
        return _refusal(error)
    except OverflowError:
        reason = "has more text or more headings, tables and pages than a document may"
        return _refusal(OversizeFileError(path, reason, "Split it into files"))
    except MemoryError:
        return _refusal(MemoryLimitError(path, "needed more memory than its reader has", "Split it, or leave it out"))
    except Exception as error:  # noqa: BLE001 - the boundary of one file, and reported
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:_MAX_DETAIL_CHARACTERS]
        return _refusal(ReaderCrashError(path, f"made its reader fail ({detail})", "Convert it to another format"))


def _refusal(error: IngestError) -> Frame:
    return frame({"rule": error.rule, "reason": error.reason, "mend": error.mend})


def _structure(extract: Extract) -> Message:
    """An extract without its text, in flat lists, which take a fifth of the memory of lists of objects."""
    return {
        "pages": list(chain.from_iterable((page.number, page.start, page.end) for page in extract.pages)),
        "headings": list(chain.from_iterable((item.level, item.title, item.start) for item in extract.headings)),
        "blocks": list(chain.from_iterable((block.start, block.end) for block in extract.blocks)),
        "metadata": dict(extract.metadata),
    }


def confine(memory_bytes: int) -> None:
    """Give up, for good: memory beyond the limit, writing to files, starting processes, and every network.

    On Linux the kernel refuses these to the libraries in C as well: by a filter of system calls, or, where
    there is none, at least by a network of its own that leads nowhere. Python itself refuses them everywhere.
    """
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        libc = ctypes.CDLL(None, use_errno=True)
        if not filter_calls(libc):
            leave_network(libc)
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith(_FORBIDDEN_EVENTS) or (event == "open" and _writes(*arguments[1:3])):
        raise ForbiddenError(f"{event} is not allowed while reading")


def _writes(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return not _WRITING_MODES.isdisjoint(mode)
    return isinstance(flags, int) and bool(flags & _WRITING_FLAGS)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def filter_calls(libc: ctypes.CDLL) -> bool:
    """Whether the kernel now refuses this process all of `_REFUSED_CALLS`, and opening files to write them."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES or libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in _instructions(machine))
    program = _Program(len(code) // 8, code)
    return bool(libc.prctl(_SET_SECCOMP, _SECCOMP_FILTER, ctypes.byref(program), 0, 0) == 0)


def leave_network(libc: ctypes.CDLL) -> bool:
    """Whether this process is now in a network of its own, with nothing else in it."""
    return any(libc.unshare(kind) == 0 for kind in (_NEW_NETWORK, _NEW_USER | _NEW_NETWORK))


def _instructions(machine: str) -> Iterator[tuple[int, int, int, int]]:
    """The filter: code, instructions to skip if true, instructions to skip if false, operand."""
    yield _LOAD, 0, 0, _ARCHITECTURE_AT
    yield _IF_EQUAL, 1, 0, _ARCHITECTURES[machine]
    yield _RETURN, 0, 0, _KILL
    yield _LOAD, 0, 0, _NUMBER_AT
    yield _IF_AT_LEAST, 0, 1, _X32_CALLS
    yield _RETURN, 0, 0, _EPERM
    for refused, answer in (
        (_REFUSED_CALLS[machine], _EPERM),
        (_REFUSED_EVERYWHERE, _EPERM),
        (_MISSING_CALLS, _ENOSYS),
    ):
        for number in refused:
            yield _IF_EQUAL, 0, 1, number
            yield _RETURN, 0, 0, answer
    for number, position in _OPEN_CALLS[machine]:
        yield from _by_flag(number, position, _WRITING_FLAGS, if_any=_EPERM, if_none=_ALLOW)
    yield from _by_flag(_CLONE_CALLS[machine], 0, _CLONE_THREAD, if_any=_ALLOW, if_none=_EPERM)
    yield _RETURN, 0, 0, _ALLOW


def _by_flag(
    number: int, position: int, flags: int, *, if_any: int, if_none: int
) -> Iterator[tuple[int, int, int, int]]:
    """Decides one call by an argument that is a set of flags."""
    yield _IF_EQUAL, 0, 4, number
    yield _LOAD, 0, 0, _ARGUMENTS_AT + 8 * position
    yield _IF_ANY_BIT, 0, 1, flags
    yield _RETURN, 0, 0, if_any
    yield _RETURN, 0, 0, if_none
