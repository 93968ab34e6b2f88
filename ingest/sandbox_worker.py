"""The worker half of the sandbox: it reads the files that it is told of and answers with extracts.

It imports the readers and nothing else of ours, so that it starts fast and stays small.
"""

import json
import os
import signal
import struct
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from ingest.errors import IngestError
from ingest.readers import read

if sys.platform != "win32":
    import resource

Message = Mapping[str, Any]

OUT_OF_MEMORY = "memory"
_LENGTH = struct.Struct(">Q")
_FORBIDDEN = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system")
_MAX_OPEN_FILES = 64


def serve(memory_bytes: int, timeout_s: int) -> None:
    """Answer requests on standard input until it ends.

    Every reader is imported before the limits begin. On Windows only the parent's time limit applies,
    and outside Linux the limit on memory does not, for want of a call that keeps it.
    """
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a library that prints cannot break into the replies
    _confine(memory_bytes)
    send(replies, {"ready": True})
    while (request := receive(sys.stdin.buffer, 2**20)) is not None:
        if sys.platform != "win32":
            signal.alarm(timeout_s)  # ends a worker whose parent is gone
        send(replies, _answer(request))
        if sys.platform != "win32":
            signal.alarm(0)


def send(stream: IO[bytes], message: Message) -> None:
    """Write a message: its length in 8 bytes, then JSON."""
    data = json.dumps(message).encode("ascii")
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes], max_bytes: int) -> Message | None:
    """The next message, or None when the stream ends before it is whole.

    Raises:
        ValueError: longer than `max_bytes`, or no JSON.
        TypeError: no JSON object.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > max_bytes:
        raise ValueError(f"a message of {length} bytes, more than {max_bytes}")
    data = stream.read(length)
    if len(data) < length:
        return None
    message = json.loads(data)
    if not isinstance(message, dict):
        raise TypeError("a message that is no object")
    return message


def _answer(request: Message) -> Message:
    try:
        extract = read(Path(request["path"]), max_bytes=request["max_bytes"])
        return {"extract": {**asdict(extract), "metadata": dict(extract.metadata)}}
    except IngestError as error:
        return {"rule": error.rule, "reason": error.reason, "mend": error.mend}
    except MemoryError:
        return {"rule": OUT_OF_MEMORY}


def _confine(memory_bytes: int) -> None:
    """Give up memory beyond the limit, writing to files, and starting processes or sockets."""
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    sys.addaudithook(_refuse)


def _refuse(event: str, _arguments: tuple[object, ...]) -> None:
    if event.startswith(_FORBIDDEN):
        raise PermissionError(1, f"{event} is not allowed while reading")
