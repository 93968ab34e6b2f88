"""Shards: what a change touches, and what approximate search may cost."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from index import publishing, shards
from index.dense import inverted_shard
from index.generation import open_current
from index.manifest import current_number, folder_name
from index.planning import inverted_plan
from index.settings import SearchSettings
from index.store import EVERYTHING
from tests.index.library import TEXTS, Library, found


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_CHUNKS", 4)


def notes(count: int) -> dict[str, str]:
    return {f"nota{number}": f"La palabra{number} es una marca. Otra frase de relleno." for number in range(count)}


def inodes(library: Library) -> dict[str, int]:
    folder = library.folder / folder_name(current_number(library.folder))
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("dense.faiss")}


@pytest.mark.parametrize(("chunks", "count"), [(0, 1), (4, 1), (5, 2), (8, 2), (9, 4), (2**40, 2**16)])
def test_ranges_follow_each_other_without_gaps(small_shards: None, chunks: int, count: int) -> None:
    ranges = shards.partition(chunks)
    assert len(ranges) == count
    assert (ranges[0].low, ranges[-1].high) == (EVERYTHING.low, EVERYTHING.high)
    assert all(left.high == right.low > left.low for left, right in pairwise(ranges))


def test_shards_answer_as_one(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.write(**TEXTS, **notes(30))
    library.sync()
    whole = library.index().search("palabra7 pescado", 20)
    monkeypatch.setattr(shards, "SHARD_CHUNKS", 4)
    other = Library(library.files, library.folder.with_name("other"))
    other.sync()
    generation = open_current(other.folder)
    assert generation is not None
    assert len(generation.manifest.shards) > 4
    generation.close()
    for theirs, ours in zip(other.index().search("palabra7 pescado", 20), whole, strict=True):
        assert (theirs.chunk, theirs.rank) == (ours.chunk, ours.rank)
        assert theirs.score == pytest.approx(ours.score, rel=1e-5)


def test_a_change_leaves_the_other_shards_as_they_are(library: Library, small_shards: None) -> None:
    library.write(**notes(40))
    library.sync()
    before = inodes(library)
    library.write(nota3="La palabra3 ha cambiado.")
    library.sync()
    after = inodes(library)
    assert len(before) >= 8
    # The old text leaves one shard and the new one enters one.
    assert 1 <= sum(before.get(name) != inode for name, inode in after.items()) <= 2
    assert found(library.index(), "cambiado", "lexical") == {"nota3"}


def test_equal_files_give_equal_shards_whatever_came_before(library: Library, small_shards: None) -> None:
    library.write(**notes(12))
    library.sync()
    library.write(**notes(40))
    library.write(nota3="algo pasajero")
    library.sync()
    library.write(**notes(40))
    library.sync()
    fresh = Library(library.files, library.folder.with_name("fresh"))
    fresh.sync()
    changing = "manifest.json"
    ours = {name: content for name, content in library.generation_files().items() if name != changing}
    assert ours == {name: content for name, content in fresh.generation_files().items() if name != changing}
    left, right = open_current(library.folder), open_current(fresh.folder)
    assert left is not None
    assert right is not None
    assert left.number != right.number
    assert left.manifest.digest == right.manifest.digest
    for generation in (left, right):
        generation.close()


def test_a_file_system_without_links_gets_copies(
    library: Library, small_shards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    library.write(**notes(20))
    library.sync()
    library.write(nota3="La palabra3 ha cambiado.")
    library.sync()
    assert found(library.index(), "palabra9", "lexical") == {"nota9"}


class TestApproximateSearch:
    def test_many_chunks_are_searched_by_lists_that_find_what_exact_search_finds(self, library: Library) -> None:
        library.write(**notes(60))
        with library.writer(exact_chunks=20) as writer:
            writer.sync(sorted(library.files.glob("*.txt")), [library.files], library.read)
        generation = open_current(library.folder)
        assert generation is not None
        plan = generation.manifest.dense
        generation.close()
        assert plan.kind == "ivf"
        assert plan.recall >= 0.95
        assert "more than 20" in plan.reason
        hits = library.index().search("palabra7", 5, settings=SearchSettings(channel="dense"))
        assert Path(hits[0].source).stem == "nota7"
        assert len(hits) == 5

    def test_what_finds_too_little_is_not_used(self, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("index.planning.RECALL_FLOOR", 1.01)
        library.write(**notes(60))
        with library.writer(exact_chunks=20) as writer:
            writer.sync(sorted(library.files.glob("*.txt")), [library.files], library.read)
        generation = open_current(library.folder)
        assert generation is not None
        plan = generation.manifest.dense
        generation.close()
        assert (plan.kind, plan.probes) == ("exact", 0)
        assert "but recall" in plan.reason
        assert len(library.index().search("palabra7", 60)) == 60

    def test_the_recall_is_measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On vectors without any neighbourhood, few of many lists find little, and reading all finds all."""
        random = np.random.default_rng(0).normal(size=(3000, 16)).astype(np.float32)
        vectors = random / np.linalg.norm(random, axis=1, keepdims=True)

        class Stored:
            def identity(self) -> object:
                return type("Identity", (), {"dimension": 16})

            def vectors(self, *_: object) -> object:
                return iter([vectors[:1000], vectors[1000:]])

        shard = inverted_shard(vectors)
        plan = inverted_plan(Stored(), 1, EVERYTHING, [shard], 10)  # type: ignore[arg-type]
        assert plan.probes > 4
        assert 0.95 <= plan.recall < 1.0
        # More than eight bits can give is not sought by reading list after list.
        monkeypatch.setattr("index.planning._RECALL_AIM", 1.01)
        widest = inverted_plan(Stored(), 1, EVERYTHING, [shard], 10)  # type: ignore[arg-type]
        assert plan.probes <= widest.probes < shard.nlist
        assert publishing.EXACT_CHUNKS == 200_000
