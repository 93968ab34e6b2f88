"""Whole files spoilt at random, the same for the same seed."""

import re
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from random import Random

from tests.ingest.proofs.specimens import ARCHIVES, unzipped, whole_files, zipped

Change = Callable[[Random, bytes], bytes]

_NUMBER = re.compile(rb"\d+")
_TAG = re.compile(rb"<[^<>]{1,200}>|/[A-Za-z]+|\\[a-z]+|[{}()\[\]]")
_PDF_STREAM = re.compile(rb"(?s)<<[^<>]*>>\s*stream\r?\n(.*?)\s*endstream")
_LONGEST = 4 * 2**20
_NUMBERS = (b"0", b"-1", b"1", b"255", b"65536", b"2147483647", b"4294967296", b"1" + b"0" * 30, b"9" * 5000, b"1e999")
_PIECES = (
    b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"<", b"&", b"<![CDATA[", b"<!--", b"]]>", b"&#0;", b"&#x110000;", b'"', b"\\",
    b"{", b"}", b"[" * 500, b"(" * 500, b"<a>" * 500, b"<<" * 500, b"\r", b"\x0b", b" " * 10_000, b"\n" * 2000,
    b"endstream", b"endobj", b"\\bin99999 ", b"\\u-99999?", b"\\'zz", b"```", b"\n---\n", b",\n", b"\xe2\x80\xae",
)  # fmt: skip


def mutant(suffix: str, number: int) -> bytes:
    """The file of this suffix and number: a specimen after one to four changes."""
    random = Random(f"{suffix}:{number}")  # noqa: S311 - repeatable
    whole = random.choice(whole_files(suffix))
    if suffix in ARCHIVES and random.random() < 0.75:
        return _archive(random, whole)
    if suffix == ".pdf" and random.random() < 0.5:
        whole = _unpacked(whole)
    return _changed(random, whole)


def _changed(random: Random, data: bytes) -> bytes:
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = random.choice(_CHANGES)(random, data)[:_LONGEST]
    return data


def _archive(random: Random, data: bytes) -> bytes:
    """The archive packed again with some members changed, lost, renamed or exchanged, so that parsers see them."""
    members = unzipped(data)
    for _ in range(random.choice((1, 1, 3))):
        name = random.choice(sorted(members))
        kind = random.random()
        if kind < 0.8:
            members[name] = _changed(random, members[name])
        elif kind < 0.9:
            del members[name]
        else:
            members[random.choice(sorted(members))] = members[name]
        if not members:
            break
    return zipped(members, compression=random.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)))


def _unpacked(data: bytes) -> bytes:
    """The PDF with its deflated streams plain, so that changes reach the operators within."""

    def plain(match: re.Match[bytes]) -> bytes:
        try:
            content = zlib.decompress(match[1])
        except zlib.error:
            return match[0]
        return b"<</Length %d>>\nstream\n%s\nendstream" % (len(content), content)

    return _PDF_STREAM.sub(plain, data)


def _flip(random: Random, data: bytes) -> bytes:
    spoilt = bytearray(data)
    for _ in range(random.choice((1, 1, 8, 64)) if spoilt else 0):
        spoilt[random.randrange(len(spoilt))] ^= 1 << random.randrange(8)
    return bytes(spoilt)


def _cut(random: Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _remove(random: Random, data: bytes) -> bytes:
    start, end = _range(random, data)
    return data[:start] + data[end:]


def _repeat(random: Random, data: bytes) -> bytes:
    start, end = _range(random, data)
    times = random.choice((1, 2, 50, 2000 if end - start <= 64 else 200))
    return data[:end] + data[start:end] * times + data[end:]


def _exchange(random: Random, data: bytes) -> bytes:
    start, end = _range(random, data)
    at = random.randrange(len(data) + 1)
    return data[:at] + data[start:end] + data[at:]


def _insert(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(_PIECES) + data[at:]


def _at_match(
    pattern: re.Pattern[bytes], change: Callable[[Random, bytes], bytes], random: Random, data: bytes
) -> bytes:
    found = list(pattern.finditer(data))
    for match in sorted(random.sample(found, min(len(found), random.choice((1, 3)))), key=lambda match: -match.start()):
        data = data[: match.start()] + change(random, match[0]) + data[match.end() :]
    return data


def _range(random: Random, data: bytes) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 4, 16, 64, 1024, 16_384)))


def _inflated(random: Random, number: bytes) -> bytes:
    return random.choice(_NUMBERS)


def _multiplied(random: Random, token: bytes) -> bytes:
    return token * random.choice((0, 2, 2, 20, 5000))


_CHANGES: tuple[Change, ...] = (
    _flip,
    _cut,
    _remove,
    _repeat,
    _exchange,
    _insert,
    partial(_at_match, _NUMBER, _inflated),
    partial(_at_match, _TAG, _multiplied),
)
