"""Documents that are zip archives, opened only after guards against bombs and entities."""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lxml import etree

from ingest.errors import (
    BombFileError,
    EncryptedFileError,
    MemoryLimitError,
    NestedFileError,
    OversizeFileError,
    UnreadableFileError,
    UnsafeXmlError,
)

MAX_UNCOMPRESSED_BYTES = 512 * 2**20
MAX_RATIO = 200
MAX_MEMBERS = 10_000
_RATIO_FREE_BYTES = 16 * 2**20  # below this a high ratio is harmless, and common in large empty tables
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may ask for gigabytes before they begin
_PROLOG_BYTES = 64 * 2**10
_OLE_MAGIC = b"\xd0\xcf\x11\xe0"
# Encodings in which `<!DOCTYPE` is legible once the NULs of UTF-16 are gone: not UTF-7, not EBCDIC.
_ENCODINGS = re.compile(rb"utf-?(8|16(be|le)?)|us-ascii|iso-8859-\d+|windows-125\d", re.IGNORECASE)
_DECLARED = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']*)")

DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, UnicodeError)


@contextmanager
def open_archive(path: Path, kind: str) -> Iterator[zipfile.ZipFile]:
    """The archive of a document of this kind, for reading.

    Raises:
        EncryptedFileError: it asks for a password.
        UnreadableFileError: no archive, damaged, or packed as no document is.
        BombFileError: unpacked it would be larger than a document ever is.
    """
    with path.open("rb") as file:
        if file.read(4) == _OLE_MAGIC:
            raise EncryptedFileError(
                path, f"is encrypted, or older than {kind}", f"Save it as {kind} without a password"
            )
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_bombs(path, archive)
            if any(member.flag_bits & 1 for member in archive.infolist()):
                raise EncryptedFileError(path, "is encrypted", f"Save it as {kind} without a password")
            if any(member.compress_type not in _COMPRESSIONS for member in archive.infolist()):
                raise UnreadableFileError(path, f"is packed as no {kind} is", f"Save it again as {kind}")
            yield archive
    except ZIP_ERRORS as error:
        raise damaged(path, kind, error) from error


def damaged(path: Path, kind: str, error: Exception) -> UnreadableFileError:
    """The error for a file whose library gave up on it."""
    if refused := _refused_tree(path, error):
        return refused
    detail = " ".join(str(error).split())[:200] or type(error).__name__
    mend = f"Open it in its program and save it again as {kind}"
    return UnreadableFileError(path, f"is damaged or no {kind} file ({detail})", mend)


def refuse_entities(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise UnsafeXmlError when an XML part declares a document type: Office files never do."""
    for name in archive.namelist():
        if name.lower().endswith((".xml", ".rels")):
            with archive.open(name) as member:
                _check_prolog(path, name, member.read(_PROLOG_BYTES))


def read_member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of one member.

    Raises:
        UnreadableFileError: there is no such member.
    """
    try:
        with archive.open(name) as member:
            # A length is given, since without one all is unpacked before the declared size is looked at.
            return member.read(archive.getinfo(name).file_size + 1)
    except KeyError as error:
        raise UnreadableFileError(path, f"lacks its part {name!r}", "Save it again in its program") from error


def parse_xml(path: Path, name: str, content: bytes, *, doctype: bool = False) -> etree._Element:
    """The root of an XML part, parsed without entities, without network and without huge trees.

    Raises:
        UnsafeXmlError: it declares entities, or a document type that is not allowed.
        NestedFileError: nested more than libxml2 follows.
        MemoryLimitError: its tree takes more memory than there is.
        UnreadableFileError: not well-formed.
    """
    _check_prolog(path, name, content[:_PROLOG_BYTES], doctype=doctype)
    mend = "Save it again in its program"
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False)
    try:
        return etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _refused_tree(path, error) or UnreadableFileError(
            path, f"its part {name!r} is damaged ({str(error)[:200]})", mend
        ) from error


def _refused_tree(path: Path, error: Exception) -> UnreadableFileError | None:
    """The error when libxml2 stopped at a limit, which it tells by its message alone."""
    message = str(error).lower()
    if "depth" in message:
        return NestedFileError(path, "is nested too deeply", "Save it again in its program")
    # lxml says "unknown error" when libxml2 had no memory left to say one
    if isinstance(error, etree.XMLSyntaxError) and message.startswith(("unknown error", "memory allocation")):
        return MemoryLimitError(path, "needed more memory than its reader has", "Split it into files")
    return None


def _refuse_bombs(path: Path, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    # Members may lie over each other, or claim to be longer than the file.
    packed = max(1, min(path.stat().st_size, sum(member.compress_size for member in members)))
    mend = "If you trust it, unpack it and ingest its parts"
    if len(members) > MAX_MEMBERS:
        raise OversizeFileError(path, f"holds {len(members)} parts, more than {MAX_MEMBERS}", mend)
    if unpacked > MAX_UNCOMPRESSED_BYTES:
        limit = MAX_UNCOMPRESSED_BYTES // 2**20
        raise BombFileError(path, f"unpacks to {unpacked // 2**20} MiB, more than {limit} MiB", mend)
    if unpacked > _RATIO_FREE_BYTES and unpacked > MAX_RATIO * packed:
        reason = f"unpacks to {unpacked // packed} times its size, like a zip bomb"
        raise BombFileError(path, reason, mend)


def _check_prolog(path: Path, name: str, head: bytes, *, doctype: bool = False) -> None:
    """Let pass only an XML prolog that is legible and declares no entities.

    What stands before the root element is read here, since that is where entities are declared.
    """
    head = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n")
    declared = _DECLARED.match(head)
    mend = "Save it again in its program"
    if not head:
        return
    if not head.startswith(b"<") or (declared and not _ENCODINGS.fullmatch(declared[1])):
        raise UnsafeXmlError(path, f"its part {name!r} is XML in an unusual encoding", mend)
    while head.startswith((b"<?", b"<!--")):
        end = b"?>" if head.startswith(b"<?") else b"-->"
        _, found, head = head.partition(end)
        head = head.lstrip()
        if not found:
            raise UnsafeXmlError(path, f"its part {name!r} has an endless prolog", mend)
    if head[:9].upper() == b"<!DOCTYPE" and (not doctype or b"<!ENTITY" in head):
        raise UnsafeXmlError(path, f"its part {name!r} declares XML entities, which are refused", mend)
