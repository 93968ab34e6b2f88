"""Copies of pictures, and pictures as documents."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import IndexDamagedError
from index.pictures import PictureFiles, picture_chunks, picture_document
from ingest.pictures import Picture

IDENTITY = ("ab" * 32, datetime(2026, 1, 2, tzinfo=UTC))


def picture(value: int, page: int | None = None) -> Picture:
    return Picture(page, 64, 64, bytes([value]) * (3 * 64 * 64))


def test_a_copy_is_found_by_what_it_holds(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path / "copies")
    dark, light = files.add(picture(10)), files.add(picture(240))
    assert files.add(picture(10)) == dark != light
    assert abs(int(np.asarray(files.image(dark)).mean()) - 10) <= 2
    assert not files.findings([dark, light])


def test_a_copy_that_was_changed_or_lost_is_told(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path)
    changed, lost = files.add(picture(10)), files.add(picture(240))
    content = bytearray(files.content(changed))
    content[len(content) // 2] ^= 1
    files.path(changed).write_bytes(content)
    files.path(lost).unlink()
    with pytest.raises(IndexDamagedError, match="differs from its checksum"):
        files.image(changed)
    with pytest.raises(IndexDamagedError, match="cannot be read"):
        files.content(lost)
    assert {finding.path for finding in files.findings([changed, lost])} == {files.path(changed), files.path(lost)}


def test_what_is_not_kept_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path)
    kept, gone = files.add(picture(10)), files.add(picture(240))
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    files.keep({kept})
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", f"{kept}.webp"}
    assert gone != kept


@pytest.mark.parametrize("address", ["", "../../etc/passwd", "AB" * 32, "ab" * 31, f"{'ab' * 32}\n"])
def test_only_addresses_name_files(address: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no address of a picture"):
        PictureFiles(tmp_path).content(address)


@given(st.lists(st.none() | st.integers(1, 4), max_size=6), st.booleans())
def test_each_line_is_a_chunk_on_its_page(pages: list[int | None], paged: bool) -> None:
    numbers = sorted(page or 1 for page in pages) if paged else [None] * len(pages)
    addresses = [f"{place:064x}" for place in range(len(numbers))]
    found = [picture(0, page) for page in numbers]
    document = picture_document(Path("a.pdf"), "/a.pdf", IDENTITY, found, addresses)
    chunks = picture_chunks(document)
    assert [(chunk.text, chunk.page) for chunk in chunks] == list(zip(addresses, numbers, strict=True))
    assert all(document.text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    assert [page.number for page in document.pages] == sorted({page for page in numbers if page})
