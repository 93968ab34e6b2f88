"""Generations: published whole, verified, held and collected."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import index.generation
from index.errors import IndexDamagedError
from index.generation import Generation, open_current
from index.manifest import Current, current_number, folder_name, read_current, read_manifest
from index.publishing import collect, highest_number, publish
from index.schema import Entry
from index.store import Store
from index.store_writer import StoreWriter
from index.types import DEFAULT_COLLECTION, Identity
from ingest.types import Chunk, Document

IDENTITY = Identity("e", "r", 4, "q: ", "p: ", 256, 48)


@pytest.fixture
def store(tmp_path: Path) -> StoreWriter:
    return StoreWriter.create(tmp_path / "fuente.db", IDENTITY)


def put(store: StoreWriter, name: str, generation: int, *, texts: int = 2) -> None:
    document = Document(name, f"{name}.txt", name, (), "es", {}, name)
    chunks = [
        (Chunk(hash_of(name, n), name, f"{name} pescado {n}", n, n + 1, None, ()), f"{name}{n}".ljust(32).encode())
        for n in range(texts)
    ]
    store.add_vectors({key: np.full(4, 0.5, np.float32) for _, key in chunks})
    store.put([Entry(document, (1, 1), chunks)], DEFAULT_COLLECTION, generation)


def hash_of(name: str, number: int) -> int:
    return int.from_bytes(f"{name}{number}".encode()[-7:], "big")


def build(store: StoreWriter, number: int) -> Path:
    publish(store.path.parent, store, number)
    return store.path.parent / folder_name(number)


def current(store: Store) -> Current:
    found = read_current(store.path.parent)
    assert found is not None
    return found


def opened(store: Store) -> Generation:
    return Generation(store.path.parent, current(store))


def test_a_published_generation_opens(store: StoreWriter) -> None:
    put(store, "gato", 1)
    put(store, "perro", 1)
    build(store, 1)
    generation = open_current(store.path.parent)
    assert generation is not None
    assert (generation.number, len(generation.dense), generation.ids.tolist()) == (1, 4, store.outline(1).ids.tolist())
    assert np.flatnonzero(generation.lexical.scores("gato")).tolist() == [0, 1]
    assert (generation.manifest.documents, generation.manifest.chunks) == (2, 4)
    assert generation.manifest.identity == IDENTITY.as_dict()
    assert not list(store.path.parent.glob("*.partial"))
    generation.close()


def test_an_empty_generation_opens(store: StoreWriter) -> None:
    build(store, 1)
    generation = open_current(store.path.parent)
    assert generation is not None
    assert (len(generation.dense), len(generation.lexical), len(generation.ids)) == (0, 0, 0)
    generation.close()


def test_nothing_published_is_none(tmp_path: Path) -> None:
    assert current_number(tmp_path) == 0
    assert open_current(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"gen-",
        b"gen-1",
        b"gen-000000",
        b"gen--00001",
        b"\xff\xfe",
        b"../gen-000001",
        b"7",
        b"gen-000001",
        b"gen-000001 " + b"0" * 63,
        b"gen-000001 " + b"0" * 64,
    ],
)
def test_a_current_that_names_no_generation_is_damage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "CURRENT").write_bytes(content)
    with pytest.raises(IndexDamagedError, match="CURRENT"):
        current_number(tmp_path)


def test_a_current_that_cannot_be_read_is_damage(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").mkdir()
    with pytest.raises(IndexDamagedError, match="CURRENT"):
        current_number(tmp_path)


def test_numbers_beyond_six_digits_are_names_too(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").write_bytes(Current(12_345_678, "0" * 64).to_text())
    assert current_number(tmp_path) == 12_345_678


def test_the_highest_number_counts_whole_names_alone(tmp_path: Path) -> None:
    assert highest_number(tmp_path) == 0
    for name in ("gen-000002", "gen-000011", "gen-000099.partial", "gen-x"):
        (tmp_path / name).mkdir()
    assert highest_number(tmp_path) == 11


def test_a_flipped_bit_anywhere_is_found(store: StoreWriter) -> None:
    put(store, "gato", 1)
    folder = build(store, 1)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(files) >= 9
    for path in files:
        content = path.read_bytes()
        for at in sorted({0, len(content) // 2, len(content) - 1, *range(7, len(content), max(len(content) // 9, 1))}):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            with pytest.raises(IndexDamagedError):
                opened(store)
        path.write_bytes(content)
    opened(store).close()


def test_every_bit_of_current_counts(store: StoreWriter) -> None:
    """Also one that makes it name an older generation that is whole."""
    for number in (6, 7):
        put(store, f"gato{number}", number)
        build(store, number)
    path = store.path.parent / "CURRENT"
    content = path.read_bytes()
    for at in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
            with pytest.raises(IndexDamagedError):
                open_current(store.path.parent)


def test_every_byte_of_the_manifest_counts(store: StoreWriter) -> None:
    folder = build(store, 1)
    content = (folder / "manifest.json").read_bytes()
    for at in range(len(content)):
        (folder / "manifest.json").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(IndexDamagedError):
            read_manifest(store.path.parent, current(store))
    (folder / "manifest.json").write_bytes(content.replace(b"\n", b"\r\n"))
    with pytest.raises(IndexDamagedError):
        read_manifest(store.path.parent, current(store))


@pytest.mark.parametrize("name", ["shard-0000/dense.faiss", "shard-0000/ids.npy", "manifest.json"])
def test_a_missing_file_is_damage(store: StoreWriter, name: str) -> None:
    put(store, "gato", 1)
    folder = build(store, 1)
    (folder / name).unlink()
    with pytest.raises(IndexDamagedError, match=name):
        opened(store)


def test_a_generation_that_cannot_be_opened_is_not_held(store: StoreWriter) -> None:
    put(store, "gato", 1)
    broken = build(store, 1)
    (broken / "shard-0000/ids.npy").write_bytes(b"x")
    with pytest.raises(IndexDamagedError) as caught:
        opened(store)
    build(store, 2)
    collect(store.path.parent, 2)
    assert not broken.exists()
    assert caught.value.path == broken / "shard-0000/ids.npy"  # the error, and so the frames, are still alive


def test_a_held_generation_is_collected_after_its_close(store: StoreWriter) -> None:
    put(store, "gato", 1)
    first = build(store, 1)
    held, twice = opened(store), opened(store)
    build(store, 2)
    assert collect(store.path.parent, 2) == 1
    held.close()
    held.close()
    assert collect(store.path.parent, 2) == 1
    twice.close()
    assert collect(store.path.parent, 2) == 2
    assert not first.exists()


def test_a_dropped_generation_is_let_go_without_a_warning(store: StoreWriter) -> None:
    put(store, "gato", 1)
    build(store, 1)
    held = opened(store)
    assert len(held.ids) == 2
    del held
    gc.collect()
    build(store, 2)
    assert collect(store.path.parent, 2) == 2


def test_another_process_holds_as_well(store: StoreWriter) -> None:
    put(store, "gato", 1)
    build(store, 1)
    program = (
        "import sys; from pathlib import Path; from index.generation import open_current;"
        "held = open_current(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(store.path.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "held\n"
        build(store, 2)
        assert collect(store.path.parent, 2) == 1
        reader.kill()
        reader.wait()
    assert collect(store.path.parent, 2) == 2


def test_leftovers_of_stopped_runs_are_cleared(store: StoreWriter) -> None:
    put(store, "gato", 1)
    build(store, 1)
    parent = store.path.parent
    for name in ("gen-000002.partial", "gen-000002"):
        (parent / name).mkdir()
        (parent / name / "rest").write_text("x")
    collect(parent, 1)
    assert sorted(path.name for path in parent.glob("gen-*")) == ["gen-000001"]
    (parent / "gen-000002.partial").mkdir()
    (parent / "gen-000002").mkdir()
    build(store, 2)
    assert current_number(parent) == 2


def test_a_generation_collected_while_it_is_opened_gives_way_to_the_next(
    store: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader reads CURRENT, then the writer publishes and collects, then the reader opens what it read."""
    put(store, "gato", 1)
    build(store, 1)
    parent = store.path.parent
    answers = iter([current(store)])
    build(store, 2)
    collect(parent, 2)
    monkeypatch.setattr(index.generation, "read_current", lambda folder: next(answers, None) or read_current(folder))
    generation = open_current(parent)
    assert generation is not None
    assert generation.number == 2
    generation.close()


def test_a_generation_replaced_before_it_was_held_is_let_go(
    store: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens well, but the writer has already looked for holders and will delete its rows."""
    put(store, "gato", 1)
    first = build(store, 1)
    answers = iter([current(store)])
    build(store, 2)
    monkeypatch.setattr(index.generation, "read_current", lambda folder: next(answers, None) or read_current(folder))
    generation = open_current(store.path.parent)
    assert generation is not None
    assert generation.number == 2
    assert collect(store.path.parent, 2) == 2
    assert not first.exists()
    generation.close()


def test_a_damaged_current_generation_raises(store: StoreWriter) -> None:
    put(store, "gato", 1)
    (build(store, 1) / "shard-0000/ids.npy").unlink()
    with pytest.raises(IndexDamagedError, match=r"ids\.npy"):
        open_current(store.path.parent)


def test_chunks_without_vectors_are_not_published(store: StoreWriter) -> None:
    put(store, "gato", 1)
    build(store, 1)
    document = Document("b", "b.txt", "b", (), "es", {}, "b")
    store.put([Entry(document, (1, 1), [(Chunk(77, "b", "b", 0, 1, None, ()), b"none")])], DEFAULT_COLLECTION, 2)
    with pytest.raises(IndexDamagedError, match="reindex"):
        build(store, 2)
    assert current_number(store.path.parent) == 1


def test_equal_stores_give_equal_files_whatever_the_order_and_the_hash_seed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.index.test_generation import *\n"
        "folder = Path(sys.argv[1]); folder.mkdir(); store = StoreWriter.create(folder / 'fuente.db', IDENTITY)\n"
        "[put(store, name, 1) for name in sys.argv[2:]]\n"
        "build(store, 1)"
    )
    contents = []
    for seed, names in (("1", ["gato", "perro", "barco"]), ("2", ["barco", "gato", "perro"])):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])}
        arguments = [sys.executable, "-c", program, str(tmp_path / seed), *names]
        subprocess.run(arguments, check=True, env=environment)
        folder = tmp_path / seed / folder_name(1)
        contents.append({str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()})
    assert contents[0] == contents[1]
