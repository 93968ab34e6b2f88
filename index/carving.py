"""Rows out of the pages of a SQLite file themselves, for a damaged one in which no way leads to them.

Source: "Database File Format", https://www.sqlite.org/fileformat2.html, sections 1.3 (head), 1.5 (free pages),
1.6 (pages, cells and overflow) and 2.1 (records).
"""

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from index.schema import COLUMNS

Value = str | bytes | int | float | None

_MAGIC = b"SQLite format 3\0"
_HEAD_BYTES = 100
_INTERIOR_INDEX, _LEAF_INDEX, _LEAF_TABLE = 2, 10, 13
# Sizes in bytes of the integers that have the serial types 1 to 6.
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)
# Tables by the number of their columns, the seal included; vectors are kept as an index is.
_TABLES = {len(columns) + 1: table for table, columns in COLUMNS.items() if table != "vectors"}
# In these the row's number is the first column, which is stored as NULL.
_NUMBERED = ("documents", "texts")


def carved(path: Path) -> Iterator[tuple[str, int, Sequence[Value]]]:
    """(table, row number, columns with the seal) of every cell that looks like a row of the store.

    Nothing is yielded when the free pages, which hold what was deleted, cannot be told from the others. Whether a
    row is as it was written only its seal can say.
    """
    if not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        pages = _Pages(content, _number(content[16:18]))
        free = pages.free()
        if free is None:
            return
        for number in range(1, pages.count + 1):
            if number not in free:
                yield from pages.rows(number)


@dataclass(frozen=True, slots=True)
class _Pages:
    """The pages of a file, from 1."""

    content: mmap.mmap
    size: int

    @property
    def count(self) -> int:
        return len(self.content) // self.size

    def free(self) -> set[int] | None:
        """Numbers of the pages that are not in use; None when that is not known for sure."""
        if self.content[: len(_MAGIC)] != _MAGIC or self.size < 512 or self.size & (self.size - 1):
            return None
        found: set[int] = set()
        trunk, count = _number(self.content[32:36]), _number(self.content[36:40])
        while trunk:
            if trunk in found or trunk > self.count:
                return None
            page = self.page(trunk)
            leaves = min(_number(page[4:8]), self.size // 4 - 2)
            found |= {trunk, *(_number(page[8 + 4 * place : 12 + 4 * place]) for place in range(leaves))}
            trunk = _number(page[:4])
        return found if len(found) == count else None

    def page(self, number: int) -> bytes:
        """A page's bytes. Raises: ValueError when there is no such page."""
        if not 1 <= number <= self.count:
            raise ValueError(f"page {number} is none of 1 to {self.count}")
        return self.content[(number - 1) * self.size : number * self.size]

    def rows(self, number: int) -> Iterator[tuple[str, int, Sequence[Value]]]:
        """What `carved` yields of one page."""
        page = self.page(number)
        head = _HEAD_BYTES if number == 1 else 0
        kind, cells = page[head], _number(page[head + 3 : head + 5])
        pointers = head + (12 if kind == _INTERIOR_INDEX else 8)
        if kind not in (_INTERIOR_INDEX, _LEAF_INDEX, _LEAF_TABLE):
            return
        for place in range(pointers, min(pointers + 2 * cells, self.size - 1), 2):
            try:
                row = self._row(page, _number(page[place : place + 2]), kind)
            except (ValueError, IndexError):
                continue
            if row is not None:
                yield row

    def _row(self, page: bytes, start: int, kind: int) -> tuple[str, int, Sequence[Value]] | None:
        start += 4 if kind == _INTERIOR_INDEX else 0
        size, start = _varint(page, start)
        if kind != _LEAF_TABLE:
            values = _values(self._payload(page, start, size, (self.size - 12) * 64 // 255 - 23))
            return ("vectors", 0, values) if len(values) == len(COLUMNS["vectors"]) + 1 else None
        rowid, start = _varint(page, start)
        values = _values(self._payload(page, start, size, self.size - 35))
        table = _TABLES.get(len(values))
        if table in _NUMBERED:
            values[0] = rowid
        return (table, rowid, values) if table else None

    def _payload(self, page: bytes, start: int, size: int, most: int) -> bytes:
        """The `size` bytes of a cell; of more than `most`, the last ones are on pages of their own."""
        if size > len(self.content):
            raise ValueError(f"a row of {size} bytes is larger than the file")
        if size <= most:
            return page[start : start + size]
        least = (self.size - 12) * 32 // 255 - 23
        here = least + (size - least) % (self.size - 4)
        here = here if here <= most else least
        parts, left = [page[start : start + here]], size - here
        following = _number(page[start + here : start + here + 4])
        while left > 0:
            page = self.page(following)
            following = _number(page[:4])
            parts.append(page[4 : 4 + min(left, self.size - 4)])
            left -= self.size - 4
        return b"".join(parts)


def _values(payload: bytes) -> list[Value]:
    """The columns of a record."""
    end, place = _varint(payload, 0)
    types = []
    while place < end:
        kind, place = _varint(payload, place)
        types.append(kind)
    values: list[Value] = []
    for kind in types:
        value, place = _value(payload, place, kind)
        values.append(value)
    return values


def _value(payload: bytes, place: int, kind: int) -> tuple[Value, int]:
    """The value at `place`, and where the next one is."""
    if kind == 0:
        return None, place
    if kind in (8, 9):
        return kind - 8, place
    size = (kind - 12) // 2 if kind >= 12 else 8 if kind == 7 else _INTEGER_BYTES[kind]
    part = payload[place : place + size]
    if len(part) < size:
        raise ValueError("a row ends before its last column")
    if kind < 12:
        # No column of the store holds fractions: 7 is damage, and its seal says so.
        return int.from_bytes(part, "big", signed=True), place + size
    return part.decode("utf-8", "replace") if kind % 2 else part, place + size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of one to nine bytes, of which each has seven bits and the ninth eight, and where it ends."""
    value = 0
    for offset in range(8):
        byte = data[place + offset]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + offset + 1
    return value << 8 | data[place + 8], place + 9


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
