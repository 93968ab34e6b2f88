"""What PDFium is not shown: streams that unpack to far more than they are, and compression within compression.

PDFium unpacks whatever a page asks for, up to a gigabyte a stream. The streams are found by their keywords and
not by the cross-reference table, which the file may forge.
"""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from ingest.errors import BombFileError

MAX_RATIO = 100
_RATIO_FREE_BYTES = 32 * 2**20  # below this a high ratio is harmless: drawings repeat themselves
_MAX_UNPACKED_BYTES = 2**30  # what is unpacked to look at it; beyond, the reader's limits on time and memory remain
_STEP_BYTES = 2**20
_STREAM = re.compile(rb"(?<!end)stream\r?\n")
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_FILTER = re.compile(rb"/Filter\s*+(\[[^\]]*+\]|/\w++)")
_COMPRESSION = re.compile(rb"/(?:FlateDecode|LZWDecode|RunLengthDecode|BrotliDecode|Fl|LZW|RL)\b")
_FIRST_IS_DEFLATE = re.compile(rb"\[?\s*/Fl(?:ateDecode)?\b")
_IMAGE = re.compile(rb"/Subtype\s*/Image\b")


def refuse_pdf_bombs(path: Path, data: bytes) -> None:
    """Let pass the bytes of a PDF none of whose streams is a bomb; who draws images looks at their size.

    Raises:
        BombFileError: a stream is compressed more than once, or unpacks to more than `MAX_RATIO` times its size.
    """
    mend = "Print it into a new PDF, if you trust it"
    left = _MAX_UNPACKED_BYTES
    for dictionary, start in _streams(data):
        filters = _FILTER.findall(dictionary)
        if any(len(_COMPRESSION.findall(names)) > 1 for names in filters):
            raise BombFileError(path, "has a stream that is compressed more than once, as bombs are", mend)
        if left > 0 and any(map(_FIRST_IS_DEFLATE.match, filters)) and not _IMAGE.search(dictionary):
            unpacked, packed = _sizes(data, start)
            left -= unpacked
            if unpacked > _RATIO_FREE_BYTES and unpacked > MAX_RATIO * packed:
                reason = f"has a stream that unpacks to more than {MAX_RATIO} times its size, as bombs do"
                raise BombFileError(path, reason, mend)


def _streams(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The dictionary of each stream, with its names spelt out, and where its content starts."""
    before = 0
    for match in _STREAM.finditer(data):
        begin = max(before, data.rfind(b"obj", before, match.start()))
        yield _ESCAPE.sub(_unescaped, data[begin : match.start()]), match.end()
        before = match.end()


def _unescaped(escape: re.Match[bytes]) -> bytes:
    return bytes([int(escape[1], 16)])


def _sizes(data: bytes, start: int) -> tuple[int, int]:
    """Bytes that a deflated stream unpacks to, counted until it is surely a bomb, and bytes of it read for them."""
    inflate = zlib.decompressobj()
    view = memoryview(data)
    unpacked, at = 0, start
    try:
        while at < len(data) and not inflate.eof:
            piece = view[at : at + _STEP_BYTES]
            at += len(piece)
            pending: bytes | memoryview = piece
            while pending and not inflate.eof:
                unpacked += len(inflate.decompress(pending, _STEP_BYTES))
                pending = inflate.unconsumed_tail
                packed = at - len(pending) - start
                if unpacked > _RATIO_FREE_BYTES and unpacked > MAX_RATIO * packed:
                    return unpacked, packed
    except zlib.error:
        pass  # damaged, or encrypted: what could be unpacked counts
    return unpacked, max(at - len(inflate.unconsumed_tail) - len(inflate.unused_data) - start, 1)
