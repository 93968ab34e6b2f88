"""Names of uploads can be anything; where they are stored cannot."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.discovery import discover
from ui.texts import TEXTS
from ui.uploads import is_upload, safe_name, save, uploads_folder

EN = TEXTS["en"]
ANY_NAME = st.one_of(st.text(), st.text(st.characters()), st.text("./\\~ab:*?\x00 $", max_size=12)).map(
    lambda stem: stem + ".txt"
)


def _save(folder, *files):
    return save([(name, lambda content=content: content) for name, content in files], folder, EN)


@pytest.mark.parametrize("name", ["tesis.pdf", "Informe (final).docx", "año 2024.txt", "a.b.c.md", "日本語.txt"])
def test_ordinary_names_are_kept(name):
    assert safe_name(name) == name


@pytest.mark.parametrize("name", ["../../etc/passwd.txt", "..\\..\\x.txt", "/etc/cron.d/x.txt", "C:\\x\\y.txt"])
def test_folders_are_dropped(name):
    stored = safe_name(name)
    assert stored is not None
    assert "/" not in stored
    assert "\\" not in stored


@pytest.mark.parametrize("name", ["", "...", "noname", ".", "..", ".txt", "x.", "/"])
def test_names_without_stem_or_suffix_are_refused(name):
    assert safe_name(name) is None


@given(ANY_NAME)
def test_a_stored_name_is_one_visible_part_with_its_suffix(name):
    stored = safe_name(name)
    if stored is None:
        return
    assert Path(stored).name == stored
    assert not stored.startswith((".", "~$"))
    assert stored.endswith(".txt")
    assert len(stored.encode()) <= 255
    assert all(unicodedata.category(character) not in ("Cc", "Cs") for character in stored)
    assert safe_name(stored) == stored


@given(ANY_NAME, ANY_NAME)
def test_different_names_stay_different(first, second):
    def last(name):
        return unicodedata.normalize("NFC", name.replace("\\", "/").split("/")[-1])

    one, other = safe_name(first), safe_name(second)
    if one is not None and one == other:
        assert last(first) == last(second)


@given(st.text(min_size=300, max_size=600))
def test_long_names_fit(stem):
    stored = safe_name(stem + ".txt")
    assert stored is None or len(stored.encode()) <= 255


def test_files_are_written_and_found_by_ingestion(tmp_path):
    assert _save(tmp_path / "up", ("a.txt", b"one"), ("../b.txt", b"two"), ("~$c.txt", b"three")) == []
    found = sorted(path.name for path in discover([tmp_path / "up"]))
    assert found[:2] == ["a.txt", "b.txt"]
    assert len(found) == 3
    assert not list(tmp_path.glob("*.txt"))
    assert not list((tmp_path / "up").glob(".*"))


def test_two_files_of_one_name_in_one_upload_do_not_overwrite_each_other(tmp_path):
    failures = _save(tmp_path, ("x/a.txt", b"one"), ("y/A.txt", b"two"))
    assert [failure.reason for failure in failures] == [EN.upload_same_name]
    assert (tmp_path / "a.txt").read_bytes() == b"one"


def test_what_cannot_be_stored_is_told(tmp_path):
    (tmp_path / "taken.txt").mkdir()
    failures = _save(tmp_path, ("...", b"x"), ("taken.txt", b"y"), ("good.txt", b"z"))
    assert [failure.reason for failure in failures] == [EN.upload_bad_name, EN.upload_unwritable]
    assert (tmp_path / "good.txt").read_bytes() == b"z"


def test_a_link_is_replaced_and_not_followed(tmp_path):
    outside, folder = tmp_path / "outside.txt", tmp_path / "up"
    outside.write_text("mine")
    folder.mkdir()
    (folder / "a.txt").symlink_to(outside)
    assert _save(folder, ("a.txt", b"new")) == []
    assert outside.read_text() == "mine"
    assert (folder / "a.txt").read_bytes() == b"new"


def test_only_what_lies_in_the_folder_is_an_upload(tmp_path):
    assert is_upload(str(tmp_path / "a.txt"), tmp_path)
    assert not is_upload(str(tmp_path / "sub" / "a.txt"), tmp_path)
    assert not is_upload(str(tmp_path.parent / "a.txt"), tmp_path)
    assert not is_upload("note without a path", tmp_path)


@given(st.lists(st.text(min_size=1, max_size=64), min_size=2, max_size=2, unique=True))
def test_each_collection_has_a_folder_of_its_own_beside_the_others(names):
    index = Path("/index")
    one, other = (uploads_folder(index, name) for name in names)
    assert one.parent == other.parent == index
    assert one.name.casefold() != other.name.casefold()
    for folder in (one, other):
        assert safe_name(f"{folder.name}.txt") == unicodedata.normalize("NFC", f"{folder.name}.txt")
        # What looks for the generations of an index must not take it for one.
        assert not folder.name.startswith("gen-")


def test_uploads_of_the_first_collection_stay_where_they_were():
    assert uploads_folder(Path("/index"), "default") == Path("/index/uploads")
