"""Which files a list of paths stands for."""

import os
from pathlib import Path

import pytest

from ingest.discovery import discover, is_passed_over
from ingest.errors import IngestError


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("texto")


def names(folder: Path, files: list[Path]) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in files]


def test_folders_are_read_in_a_fixed_order_without_machinery(tmp_path: Path) -> None:
    fill(tmp_path, "b.txt", "A.txt", "a.md", "Ñu.txt", "z/uno.txt", "Carpeta/dos.PDF")
    fill(tmp_path, ".oculto.txt", "~$abierto.docx", "Thumbs.db", ".git/x.txt", "__MACOSX/a.txt")
    fill(tmp_path, "node_modules/a.js", "venv/a.py", "z/__pycache__/a.txt")
    assert names(tmp_path, list(discover([tmp_path]))) == [
        "a.md", "A.txt", "b.txt", "Ñu.txt", "Carpeta/dos.PDF", "z/uno.txt",
    ]  # fmt: skip


def test_names_that_differ_by_case_alone_are_ordered_too(tmp_path: Path) -> None:
    fill(tmp_path, "a.txt", "A.txt")
    assert names(tmp_path, list(discover([tmp_path]))) == ["A.txt", "a.txt"]


def test_other_formats_are_reported_in_folders_and_yielded_when_named(tmp_path: Path) -> None:
    fill(tmp_path, "foto.png", "texto.txt", "sin_sufijo")
    skipped: list[Path] = []
    assert names(tmp_path, list(discover([tmp_path], on_skip=skipped.append))) == ["texto.txt"]
    assert names(tmp_path, skipped) == ["foto.png", "sin_sufijo"]
    assert list(discover([tmp_path / "foto.png"])) == [tmp_path / "foto.png"]
    assert names(tmp_path, list(discover([tmp_path], suffixes={".png"}))) == ["foto.png"]


def test_a_named_hidden_file_or_folder_is_read(tmp_path: Path) -> None:
    fill(tmp_path, ".notas/.oculto.txt", ".notas/visible.txt")
    found = discover([tmp_path / ".notas", tmp_path / ".notas/.oculto.txt"])
    assert names(tmp_path, list(found)) == [".notas/visible.txt", ".notas/.oculto.txt"]


def test_each_file_comes_once(tmp_path: Path) -> None:
    fill(tmp_path, "a.txt", "b.txt")
    found = discover([tmp_path / "b.txt", tmp_path, tmp_path / "." / "a.txt"])
    assert names(tmp_path, list(found)) == ["b.txt", "a.txt"]


def test_symbolic_links(tmp_path: Path) -> None:
    fill(tmp_path, "docs/a.txt", "fuera/b.txt")
    (tmp_path / "docs/enlace").symlink_to(tmp_path / "fuera")
    (tmp_path / "docs/vuelta").symlink_to(tmp_path / "docs")
    (tmp_path / "docs/roto.txt").symlink_to(tmp_path / "nada")
    docs = tmp_path / "docs"
    assert names(docs, list(discover([docs]))) == ["a.txt"]
    assert names(docs, list(discover([docs], follow_symlinks=True))) == ["a.txt", "enlace/b.txt"]
    assert names(docs, list(discover([docs / "enlace"]))) == ["enlace/b.txt"]


def test_a_folder_that_is_named_twice_is_read_once_under_its_first_name(tmp_path: Path) -> None:
    fill(tmp_path, "docs/a.txt", "docs/sub/b.txt")
    link = tmp_path / "enlace"
    link.symlink_to(tmp_path / "docs")
    assert names(tmp_path, list(discover([link, tmp_path / "docs"]))) == ["enlace/a.txt", "enlace/sub/b.txt"]
    assert names(tmp_path, list(discover([tmp_path / "docs/sub", link]))) == ["docs/sub/b.txt", "enlace/a.txt"]
    assert names(tmp_path, list(discover([link / "a.txt", tmp_path / "docs/a.txt"]))) == ["enlace/a.txt"]


def test_a_linked_file_comes_once(tmp_path: Path) -> None:
    fill(tmp_path, "docs/b.txt")
    (tmp_path / "docs/a.txt").symlink_to(tmp_path / "docs/b.txt")
    assert names(tmp_path, list(discover([tmp_path / "docs"], follow_symlinks=True))) == ["docs/a.txt"]


@pytest.mark.parametrize("name", ["a.txt", "z/a.txt", ".a.txt", "z/.git/a.txt", "node_modules/a.txt", "z/~$a.docx",
                                  "Thumbs.db", "desktop.ini/a.txt", "z/VENV/b/a.txt"])  # fmt: skip
def test_what_is_passed_over_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    fill(tmp_path, name)
    everything = {Path(name).suffix}
    assert is_passed_over(Path(name).parts) != bool(list(discover([tmp_path], suffixes=everything)))


def test_pipes_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tubo.txt")
    assert list(discover([tmp_path])) == []


def test_a_missing_path_is_named_before_anything_is_read(tmp_path: Path) -> None:
    fill(tmp_path, "a.txt")
    found = discover([tmp_path, tmp_path / "no.pdf"])
    with pytest.raises(IngestError, match=r"no\.pdf: does not exist\. Check its spelling"):
        next(found)
