"""A damaged index says so or answers as before; what can be derived repairs itself.

Every file of an index is damaged in every way that disks and people know, at seeded places: flipped bits, cut tails,
blocks of zeros, foreign content, bytes too many, nothing left. Answers that differ without an error are the failure
that this looks for.
"""

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from index.errors import IndexNotFoundError, StoreError
from index.settings import SearchSettings
from index.types import Channel
from ingest.types import Document
from tests.index.library import Library, read

DATABASE = "fuente.db"
SEAL = "store.seal"
# They say who writes and hold nothing of the index.
WRITER_FILES = ("writer.lock", "writer.pid")
QUESTIONS = ("¿Dónde duerme el gato?", "O navio levava peixe fresco?", "Which harbour did the ship leave?", "nada")
TEXTS = {
    "es-gato": "El gato duerme en la cocina. Le gusta el pescado fresco. De noche caza ratones en el jardín.",
    "es-barco": "El barco zarpó del puerto de Cádiz. Llevaba pescado y madera. Volvió en otoño.",
    "pt-navio": "O navio saiu do porto de Lisboa. Levava peixe fresco e madeira. Voltou na primavera.",
    "pt-receita": "A receita pede farinha, ovos e açúcar. Bata as claras em neve. Leve ao forno médio.",
    "en-ship": "The ship left the harbour at dawn. It carried fish and timber. The crew sang all night.",
    "en-recipe": "The recipe calls for flour and eggs. Beat the whites until stiff. Bake until golden.",
}
# More than a page of the store, so that its text goes on in pages of its own.
LONG_TEXT = " ".join(f"La noche número {night} soñó con {night * 7} peces y un puerto lejano." for night in range(90))
_KINDS = ("flip", "flip", "flip", "cut", "flip", "flip", "zero", "flip", "swap", "flip", "extend", "cut", "flip")
_WHOLE_FILE_KINDS = ("missing", "empty")


@dataclass(frozen=True)
class Damage:
    """One thing done to one file; `region` says what of it was hit, `detail` where."""

    path: Path
    kind: str
    region: str
    detail: str
    content: bytes | None

    @property
    def file_kind(self) -> str:
        """The file's name, without the numbers that generations and shards have."""
        parts = [part.partition("-")[0] if part[:4] in ("gen-", "shar") else part for part in self.path.parts]
        return "/".join(parts) + (f" ({self.region})" if self.region else "")

    def apply(self, folder: Path) -> None:
        if self.content is None:
            (folder / self.path).unlink()
        else:
            (folder / self.path).write_bytes(self.content)

    def __str__(self) -> str:
        return f"{self.path} {self.region}: {self.kind} {self.detail}"


class Damager:
    """Makes up damages to the files of a folder, the same ones for the same seed."""

    def __init__(self, folder: Path, regions: dict[str, list[int]], seed: int) -> None:
        """`regions` names places of the database that must be hit."""
        self.folder = folder
        self.regions = regions
        self.random = np.random.default_rng(seed)
        self.files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        self._kinds = {path: cycle(_KINDS) for path in self.files}
        self._regions = cycle(regions)

    def damages(self, count: int) -> Iterator[Damage]:
        """A third hits the database, a sixth takes a whole file away, the others go through the files in turn."""
        database = Path(DATABASE)
        whole = [(path, kind) for path in self.files for kind in _WHOLE_FILE_KINDS]
        turns = cycle(self.files)
        number = made = 0
        while made < count:
            number += 1
            if number % 6 == 1 and whole:
                path, kind = whole.pop(0)
            else:
                path = database if number % 6 in (0, 1, 3) else next(turns)
                kind = next(self._kinds[path])
            damage = self.damage(path, kind)
            if damage is not None:
                made += 1
                yield damage

    def damage(self, path: Path, kind: str) -> Damage | None:
        """Damage of this kind; None where the file would stay as it is."""
        before = (self.folder / path).read_bytes()
        kind = kind if before or kind == "missing" else "extend"  # an empty file can only grow
        region, detail, after = "", "", None
        if kind == "flip":
            region, at = self._place(path, len(before))
            bit = int(self.random.integers(8))
            detail, after = f"bit {bit} of byte {at}", _with(before, at, bytes([before[at] ^ (1 << bit)]))
        elif kind == "cut":
            length = int(self.random.integers(len(before)))
            detail, after = f"to {length} of {len(before)} bytes", before[:length]
        elif kind == "zero":
            at = int(self.random.integers(len(before))) // 512 * 512
            detail, after = f"512 bytes from {at}", _with(before, at, bytes(len(before[at : at + 512])))
        elif kind == "swap":
            other = self.files[int(self.random.integers(len(self.files)))]
            detail, after = f"for {other}", (self.folder / other).read_bytes()
        elif kind == "extend":
            extra = self.random.bytes(int(self.random.integers(1, 64)))
            detail, after = f"by {len(extra)} bytes", before + extra
        elif kind == "empty":
            after = b""
        if after == before or (after is None and kind != "missing"):
            return None
        return Damage(path, kind, region, detail, after)

    def _place(self, path: Path, size: int) -> tuple[str, int]:
        if path != Path(DATABASE):
            return "", int(self.random.integers(size))
        region = next(self._regions)
        return region, int(self.random.choice(self.regions[region]))


def _with(content: bytes, at: int, part: bytes) -> bytes:
    return content[:at] + part + content[at + len(part) :]


def read_in_language(path: Path, source: str) -> Document:
    """A file whose name begins with its language."""
    return replace(read(path, source), language=path.stem[:2])


def database_regions(content: bytes, library: Library) -> dict[str, list[int]]:
    """Places of the store by what lies there: texts, vectors, short rows, heads of pages, the file's own."""
    page = int.from_bytes(content[16:18], "big")
    regions = {
        "header": list(range(100)),
        "pages": [at + offset for at in range(page, len(content), page) for offset in range(16)],
        "text": _found(content, [text.encode() for text in (*TEXTS.values(), LONG_TEXT[:500])]),
        "vectors": _found(content, _vectors(library)),
        # Short rows, of which each byte decides whether they are found at all, and the indexes of them.
        "rows": _found(content, [library.source(name).encode() for name in TEXTS], around=16),
        "anywhere": list(range(len(content))),
    }
    assert all(regions.values()), f"nothing of {[name for name, places in regions.items() if not places]} in the file"
    return regions


def _vectors(library: Library) -> list[bytes]:
    index = library.index()
    hits = index.search("x", 1000, settings=SearchSettings(channel="dense", collapse=False))
    index.close()
    return [vector.tobytes() for vector in library.embedder.encode_passages([hit.chunk.text for hit in hits])]


def _found(content: bytes, parts: Sequence[bytes], around: int = 0) -> list[int]:
    """Every place of every occurrence of these parts, and some bytes before and after it."""
    found = [match for part in parts for match in re.finditer(re.escape(part), content)]
    return [place for match in found for place in range(match.start() - around, match.end() + around)]


def answers(library: Library) -> Any:
    """All that the index shows and finds. Raises: what opening it or asking it raises."""
    index = library.index()
    try:
        sources = index.sources()
        documents = [index.document(info.document_id) for info in sources]
        by_source = index.documents_of([info.source for info in sources])
        hits = [
            index.search(question, 20, settings=SearchSettings(channel=channel))
            for question in QUESTIONS
            for channel in get_args(Channel)
        ]
        return sources, documents, by_source, hits
    finally:
        index.close()


@dataclass
class Specimen:
    """An index to damage: a whole one that is kept, and the copy of it that is hurt."""

    library: Library
    whole: Path
    expected: Any
    regions: dict[str, list[int]]
    table: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def damaged(self, count: int, seed: int = 0) -> Iterator[Damage]:
        """Each damage in turn, done to a copy that is otherwise whole."""
        for damage in Damager(self.whole, self.regions, seed).damages(count):
            self.restore(damage)
            self.count(damage, "damaged")
            yield damage

    def restore(self, damage: Damage) -> None:
        """Makes the copy whole but for this damage."""
        shutil.rmtree(self.library.folder)
        shutil.copytree(self.whole, self.library.folder)
        damage.apply(self.library.folder)

    def count(self, damage: Damage, column: str) -> None:
        self.table[damage.file_kind, column] += 1

    def fail(self, damage: Damage, reason: str) -> None:
        self.failures.append(f"{damage}: {reason}")
        self.count(damage, "FAILED")

    def finish(self, *columns: str) -> None:
        """Prints what became of each kind of file, and fails with everything that went wrong."""
        columns = ("damaged", *columns, "FAILED")
        rows = [[kind, *(str(self.table[kind, column]) for column in columns)] for kind in sorted(self.kinds)]
        total = [str(sum(self.table[kind, column] for kind in self.kinds)) for column in columns]
        print()
        for row in (["", *columns], *rows, ["all", *total]):
            print(row[0].ljust(44), *(cell.rjust(12) for cell in row[1:]))
        assert not self.failures, "\n".join(self.failures)
        missed = {path.name for path in self.whole.rglob("*") if path.is_file()} - {
            kind.partition(" (")[0].rpartition("/")[2] for kind in self.kinds
        }
        assert not missed, f"not damaged: {sorted(missed)}"

    @property
    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.table}


@pytest.fixture
def specimen(library: Library, tmp_path: Path) -> Specimen:
    """An index in three languages that has seen files change and leave."""
    library.write(**TEXTS, **{"es-largo": LONG_TEXT, "en-old": "It leaves soon. " * 40})
    library.sync(read_in_language)
    library.write(**{"en-ship": TEXTS["en-ship"] + " It came back.", "es-gato": TEXTS["es-gato"]})
    Path(library.source("en-old")).unlink()
    library.sync(read_in_language)
    library.sync(read_in_language)
    shutil.copytree(library.folder, tmp_path / "whole")
    regions = database_regions((library.folder / DATABASE).read_bytes(), library)
    expected = answers(library)
    assert answers(library) == expected
    return Specimen(library, tmp_path / "whole", expected, regions)


def check_report(specimen: Specimen, count: int) -> None:
    """Each damage is reported, and nothing once it is mended."""
    from index.integrity import verify

    assert list(verify(specimen.whole)) == []
    for damage in specimen.damaged(count):
        if list(verify(specimen.library.folder)):
            specimen.count(damage, "reported")
        elif damage.path.name not in WRITER_FILES:
            specimen.fail(damage, "it is not reported")
        if damage.path.name not in (DATABASE, SEAL, *WRITER_FILES):
            publish(specimen.library)
            left = [finding for finding in verify(specimen.library.folder) if finding.kind != "information"]
            if left:
                specimen.fail(damage, f"it was mended, but this is reported: {left}")
    specimen.finish("reported")


def check_answers(specimen: Specimen, count: int) -> None:
    """With each damage the index answers as before or says what is wrong, and so it does after the next publication."""
    for damage in specimen.damaged(count):
        check_asking(specimen, damage)
        check_publishing(specimen, damage, "mended", "not mended")
        if damage.path.name == DATABASE:
            # Now from the damaged rows themselves, all of which the new files are made of.
            specimen.restore(damage)
            shutil.rmtree(next(specimen.library.folder.glob("gen-*")))
            check_publishing(specimen, damage, "rebuilt", "not rebuilt")
    specimen.finish("refused", "as before", "mended", "not mended", "rebuilt", "not rebuilt")


def check_asking(specimen: Specimen, damage: Damage) -> None:
    try:
        found = answers(specimen.library)
    except StoreError as error:
        specimen.count(damage, "refused")
        if damage.path.name == DATABASE and not explains(error, specimen.library.folder):
            specimen.fail(damage, f"the error does not name the file and the mend: {error}")
    except Exception as error:  # noqa: BLE001 - reported with all others
        specimen.fail(damage, f"asking raised {error!r}")
    else:
        specimen.count(damage, "as before")
        if found != specimen.expected:
            specimen.fail(damage, "answers differ, and nothing is said")


def check_publishing(specimen: Specimen, damage: Damage, done: str, refused: str) -> None:
    """A writer mends what is derived; of a store that cannot be mended it makes nothing else."""
    derived = damage.path.name != DATABASE
    try:
        publish(specimen.library)
        found = answers(specimen.library)
    except StoreError as error:
        specimen.count(damage, refused)
        if derived:
            specimen.fail(damage, f"it is not mended: {error}")
        elif not explains(error, specimen.library.folder):
            specimen.fail(damage, f"the writer's error does not name the file and the mend: {error}")
    except Exception as error:  # noqa: BLE001 - reported with all others
        specimen.fail(damage, f"publishing raised {error!r}")
    else:
        specimen.count(damage, done)
        if found != specimen.expected:
            specimen.fail(damage, "after a publication answers differ, and nothing is said")


def publish(library: Library) -> None:
    with library.writer() as writer:
        writer.publish()


def explains(error: StoreError, folder: Path) -> bool:
    """Whether an error about the store names it and the mend; of a store that is gone there is only the folder."""
    named = error.path.name.startswith(DATABASE) or (isinstance(error, IndexNotFoundError) and error.path == folder)
    return named and bool(error.mend) and error.mend in str(error)


def test_some_damage_is_reported(specimen: Specimen) -> None:
    check_report(specimen, 60)


@pytest.mark.slow
def test_any_damage_is_reported(specimen: Specimen, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        check_report(specimen, 1000)


def test_some_damage_misleads_nobody(specimen: Specimen) -> None:
    check_answers(specimen, 60)


@pytest.mark.slow
def test_any_damage_misleads_nobody(specimen: Specimen, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        check_answers(specimen, 1000)
