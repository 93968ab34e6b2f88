import struct
import zlib
from pathlib import Path

import pytest

from generative.language.sword import FOLDER, MODULES, SwordError, parallel_verses, read_module


def write_module(folder: Path, language: str, books: dict[str, list[list[str]]]) -> Path:
    """A module whose testaments hold these books; block 0 holds the testament's heading, as the real ones have it."""
    module = folder / "modules" / "texts" / "ztext" / MODULES[language][0]
    module.mkdir(parents=True)
    for testament, contents in books.items():
        blocks, index, packed = [["<title>heading</title>"], *contents], b"", b""
        starts = []
        for number, verses in enumerate(blocks):
            raw = b""
            for verse in verses:
                index += struct.pack("<IIH", number, len(raw), len(verse.encode()))
                raw += verse.encode()
            block = zlib.compress(raw)
            starts.append(struct.pack("<III", len(packed), len(block), len(raw)))
            packed += block
        (module / f"{testament}.bzz").write_bytes(packed)
        (module / f"{testament}.bzs").write_bytes(b"".join(starts))
        (module / f"{testament}.bzv").write_bytes(index)
    return module


SPANISH = {
    "ot": [["En el <w lemma='x'>principio</w>", "", "Dios &amp; cielos"]],
    "nt": [["Jesús<note>nota</note> dijo"]],
}
ENGLISH = {"ot": [["In the beginning", "only here", "God &amp; heavens"]], "nt": [["Jesus said"]]}


def test_reads_verses_without_markup_notes_and_titles(tmp_path: Path) -> None:
    write_module(tmp_path, "es", SPANISH)
    verses = read_module("es", tmp_path)
    assert [verse.text for verse in verses] == ["En el principio", "Dios & cielos", "Jesús dijo"]
    assert [verse.book for verse in verses] == [0, 0, 39]


def test_verses_of_the_same_place_are_pairs(tmp_path: Path) -> None:
    write_module(tmp_path, "es", SPANISH)
    write_module(tmp_path, "en", ENGLISH)
    pairs = [(spanish.text, english.text) for spanish, english in parallel_verses(tmp_path)]
    assert pairs == [
        ("En el principio", "In the beginning"),
        ("Dios & cielos", "God & heavens"),
        ("Jesús dijo", "Jesus said"),
    ]


def test_says_what_to_install_where_it_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SwordError, match="apt install sword-text-sparv"):
        read_module("es", tmp_path)


def test_damage_is_told(tmp_path: Path) -> None:
    module = write_module(tmp_path, "es", SPANISH)
    (module / "ot.bzz").write_bytes(b"no")
    with pytest.raises(SwordError, match="damaged"):
        read_module("es", tmp_path)


@pytest.mark.skipif(not (FOLDER / "modules" / "texts" / "ztext" / "spaRV1909eb").is_dir(), reason="not installed")
def test_the_packaged_bible_is_whole() -> None:
    verses = read_module("es")
    assert len(verses) == 31_084
    assert {verse.book for verse in verses} == set(range(66))
    assert verses[0].text == "EN el principio crió Dios los cielos y la tierra."
