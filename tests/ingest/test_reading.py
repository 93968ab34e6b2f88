"""A file becomes a document."""

import hashlib
import os
from pathlib import Path

import pytest

from ingest.errors import IngestError, UnreadableFileError
from ingest.reading import identify, read_document, to_document
from ingest.types import Extract, Heading, Span

TEXT = "# Actas\n\nLa junta aprobó el presupuesto y cerró la sesión a las nueve de la noche.\n\n- uno\n- dos\n"


def write(folder: Path, name: str, content: str = TEXT) -> Path:
    path = folder / name
    path.write_text(content)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def test_a_document_knows_its_file(tmp_path: Path) -> None:
    document = read_document(write(tmp_path, "actas.md"), source="juntas/actas.md", max_bytes=1000)
    assert document.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
    assert document.id == document.sha256[:16]
    assert (document.source, document.text, document.language) == ("juntas/actas.md", TEXT, "es")
    assert document.headings == (Heading(1, "Actas", 0),)
    assert document.blocks == (Span(TEXT.index("- uno"), len(TEXT) - 1),)
    assert document.metadata == {"file_name": "actas.md", "modified": "2023-11-14T22:13:20+00:00"}


def test_equal_files_are_one_document(tmp_path: Path) -> None:
    first, second = (read_document(write(tmp_path, name), source=name) for name in ("a.md", "b.md"))
    assert first.id == second.id != read_document(write(tmp_path, "c.md", TEXT + "x"), source="c").id


def test_titles_come_from_the_file_itself(tmp_path: Path) -> None:
    path = write(tmp_path, "a.md", "---\ntitle: Memória do ano\n---\nNão há mais nada a dizer.")
    assert read_document(path, source="a").metadata["title"] == "Memória do ano"


def test_notes_and_code_are_in_one_of_the_main_languages(tmp_path: Path) -> None:
    assert read_document(write(tmp_path, "a.txt", "Onde a fundação se consolidou?"), source="a").language == "pt"
    code = "\n".join(f"fn f{index}(x: u8) -> u8 {{ x }}" for index in range(50))
    assert read_document(write(tmp_path, "a.rs", code), source="a").language in ("es", "pt", "en")


def test_french_prose_is_french(tmp_path: Path) -> None:
    text = "Le conseil a approuvé le budget de l'année et levé la séance à neuf heures du soir. " * 5
    assert read_document(write(tmp_path, "a.txt", text), source="a").language == "fr"


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt")
    identity = identify(path, max_bytes=1000)
    path.write_text("otra cosa")
    with pytest.raises(UnreadableFileError, match="was changed while it was read"):
        to_document(path, Extract(TEXT), source="a", identity=identity)


@pytest.mark.parametrize("name", ["no.txt", "no.exe"])
def test_every_failure_is_an_ingest_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(IngestError) as caught:
        read_document(tmp_path / name, source=name)
    assert caught.value.path == tmp_path / name
    assert caught.value.mend
