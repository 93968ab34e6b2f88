"""A filter keeps what it says and nothing else, before the best are taken, in every channel."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest

from index import shards
from index.filters import Filter
from index.search import Index
from index.settings import SearchSettings
from index.types import Channel, check_collection
from ingest.types import Document
from tests.index.library import Library

CHANNELS = get_args(Channel)
START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
# Every text has this word, so that the lexical channel finds all of them.
COMMON = "palabra"
SHARED = f"El gato duerme. {COMMON}"


@dataclass(frozen=True)
class File:
    """A file of the corpus, changed so many days after `START`."""

    name: str
    text: str
    collection: str = "default"
    language: str = "es"
    author: str = "Ana"
    day: int = 0


FILES = (
    File("casa/gato.txt", SHARED),
    File("casa/perro.txt", f"El perro corre. {COMMON}", author="Bruno", day=1),
    File("casa/viejo/gato.md", f"O gato velho. {COMMON}", language="pt", day=2),
    File("tesis/gato.txt", SHARED, collection="tesis", day=3),
    File("tesis/cat.txt", f"The cat sleeps. {COMMON}", collection="tesis", language="en", author="Bruno", day=4),
    File("casa/cat.txt", f"Another cat. {COMMON}", collection="otra", language="en", day=5),
)


def put(library: Library, *files: File) -> None:
    """Writes files and adds them to their collections."""
    for file in files:
        path = library.files / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, encoding="utf-8")
        moment_ns = int((START + file.day * DAY).timestamp()) * 10**9
        os.utime(path, ns=(moment_ns, moment_ns))
    known = {str(library.files / file.name): file for file in files}

    def read(path: Path, source: str) -> Document:
        file = known[source]
        return replace(library.read(path, source), language=file.language, metadata={"author": file.author})

    with library.writer() as writer:
        for collection in dict.fromkeys(file.collection for file in files):
            own = [library.files / file.name for file in files if file.collection == collection]
            writer.sync(own, [], read, collection=collection)


@pytest.fixture
def index(library: Library) -> Index:
    put(library, *FILES)
    return library.index()


def paths(index: Index, where: Filter | None, channel: str = "fused", k: int = 50) -> set[str]:
    """Paths, within the folder of files, of what a question about the common word finds."""
    hits = index.search(COMMON, k, settings=SearchSettings(channel=channel), where=where)  # type: ignore[arg-type]
    return {hit.source.split("/files/")[1] for hit in hits}


def expected(library: Library, where: Filter) -> set[str]:
    """What a filter should find: the first file, by path, of each text that has one which meets it."""
    found: dict[str, str] = {}
    for file in sorted(FILES, key=lambda file: (file.name, file.collection)):
        moment = START + file.day * DAY
        path = str(library.files / file.name)
        meets = (
            (not where.collections or file.collection in where.collections)
            and (not where.languages or file.language in where.languages)
            and (not where.sources or any(is_meant(path, name.rstrip("/")) for name in where.sources))
            and (where.modified_from is None or moment >= where.modified_from)
            and (where.modified_until is None or moment < where.modified_until)
            and all((key, value) == ("author", file.author) for key, value in where.metadata)
        )
        if meets:
            found.setdefault(file.text, file.name)
    return set(found.values())


def is_meant(path: str, name: str) -> bool:
    return (
        path == name
        or path.startswith(f"{name}/")
        or path.endswith(f"/{name}")
        or fnmatchcase(path, name)
        or fnmatchcase(path, f"*/{name}")
    )


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    ("where", "names"),
    [
        (Filter(), {"casa/gato.txt", "casa/perro.txt", "casa/viejo/gato.md", "tesis/cat.txt", "casa/cat.txt"}),
        (Filter(collections=("tesis",)), {"tesis/gato.txt", "tesis/cat.txt"}),
        (Filter(collections=("tesis", "otra")), {"tesis/gato.txt", "tesis/cat.txt", "casa/cat.txt"}),
        (Filter(collections=("none",)), set()),
        (Filter(languages=("pt",)), {"casa/viejo/gato.md"}),
        (Filter(languages=("pt", "en")), {"casa/viejo/gato.md", "tesis/cat.txt", "casa/cat.txt"}),
        (Filter(metadata=(("author", "Bruno"),)), {"casa/perro.txt", "tesis/cat.txt"}),
        (Filter(metadata=(("author", "bruno"),)), set()),
        (Filter(metadata=(("Author", "Bruno"),)), set()),
        (Filter(sources=("perro.txt",)), {"casa/perro.txt"}),
        (Filter(sources=("casa/perro.txt",)), {"casa/perro.txt"}),
        (Filter(sources=("*.md",)), {"casa/viejo/gato.md"}),
        (Filter(sources=("casa/*",)), {"casa/gato.txt", "casa/perro.txt", "casa/viejo/gato.md", "casa/cat.txt"}),
        (Filter(sources=("?at.txt",)), {"tesis/cat.txt", "casa/cat.txt"}),
        (Filter(sources=("[a-c]at.txt", "perro.txt")), {"tesis/cat.txt", "casa/cat.txt", "casa/perro.txt"}),
        (Filter(sources=("erro.txt", "casa", "GATO.txt")), set()),
        (Filter(modified_from=START + 4 * DAY), {"tesis/cat.txt", "casa/cat.txt"}),
        (Filter(modified_until=START + 2 * DAY), {"casa/gato.txt", "casa/perro.txt"}),
    ],
)
def test_each_condition(index: Index, where: Filter, names: set[str], channel: str) -> None:
    assert paths(index, where, channel) == names


def test_a_path_and_a_folder_are_meant_whole(index: Index, library: Library) -> None:
    folder = library.files / "casa"
    for spelling in (str(folder), f"{folder}/"):
        assert paths(index, Filter(sources=(spelling,))) == {
            "casa/gato.txt", "casa/perro.txt", "casa/viejo/gato.md", "casa/cat.txt",
        }  # fmt: skip
    assert paths(index, Filter(sources=(str(folder / "perro.txt"),))) == {"casa/perro.txt"}
    assert paths(index, Filter(sources=(str(folder)[:-1],))) == set()


def test_conditions_combine(index: Index, library: Library) -> None:
    """Every choice of up to one value for each condition, against the conditions told in Python."""
    some = 0
    for collections, languages, sources, since, until, metadata in product(
        [(), ("tesis",), ("default", "otra")],
        [(), ("es",), ("en", "pt")],
        [(), ("gato.txt", "*.md"), ("casa/*",)],
        [None, START + DAY],
        [None, START + 4 * DAY],
        [(), (("author", "Ana"),), (("author", "Ana"), ("author", "Bruno"))],
    ):
        where = Filter(collections, languages, sources, since, until, metadata)
        found = expected(library, where)
        assert paths(index, where) == found, where
        some += bool(found)
    assert some > 60


def test_all_conditions_hold_for_one_source(library: Library) -> None:
    """A text in two collections is not found by the collection of one file and the folder of the other."""
    put(library, FILES[0], FILES[3])
    index = library.index()
    assert paths(index, Filter(collections=("tesis",), sources=("tesis/*",))) == {"tesis/gato.txt"}
    assert paths(index, Filter(collections=("tesis",), sources=("casa/*",))) == set()


def test_a_text_in_two_collections_shows_the_file_of_the_one_asked(index: Index) -> None:
    for collection, name in (("default", "casa/gato.txt"), ("tesis", "tesis/gato.txt")):
        hits = index.search("gato duerme", 50, where=Filter(collections=(collection,)))
        (hit,) = [hit for hit in hits if hit.chunk.text == SHARED]
        assert (hit.collection, hit.source.endswith(name)) == (collection, True)
    (hit,) = [hit for hit in index.search("gato duerme", 50) if hit.chunk.text == SHARED]
    assert hit.collection == "default"


def test_one_file_in_two_collections(library: Library) -> None:
    put(library, FILES[0], replace(FILES[0], collection="tesis"))
    index = library.index()
    assert index.collections() == ["default", "tesis"]
    for collection in ("default", "tesis"):
        (hit,) = index.search(COMMON, 5, where=Filter(collections=(collection,)))
        assert hit.collection == collection
    with library.writer() as writer:
        writer.remove([str(library.files / FILES[0].name)], collection="default")
    assert paths(index, Filter(collections=("default",))) == set()
    assert paths(index, Filter(collections=("tesis",))) == {FILES[0].name}


def test_documents_of_a_collection(library: Library) -> None:
    with library.writer() as writer:
        for collection, text in (("a", "uno"), ("b", "dos")):
            writer.add([Document(text * 8, "same", text, (), "es", {}, text)], collection=collection)
    index = library.index()
    texts = {name: index.documents_of(["same"], collection=name) for name in ("a", "b", "c")}
    assert {name: found["same"].text for name, found in texts.items() if found} == {"a": "uno", "b": "dos"}
    assert index.documents_of(["same"])["same"].text == "uno"


class TestManyChunks:
    """Filters that keep few of many chunks, which are far from the question."""

    @pytest.fixture(params=["exact", "shards", "ivf"])
    def index(self, library: Library, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Index:
        if request.param == "shards":
            monkeypatch.setattr(shards, "SHARD_CHUNKS", 16)
        near = {f"cerca{n:03}": f"{COMMON} {COMMON} pregunta número{n}" for n in range(120)}
        far = {f"lejos{n}": f"otra cosa distinta con una {COMMON} y mucho relleno{n}" for n in range(7)}
        library.write(**near, **far)
        with library.writer(**({"exact_chunks": 20} if request.param == "ivf" else {})) as writer:
            for name, pattern in (("near", "cerca*.txt"), ("far", "lejos*.txt")):
                writer.sync(sorted(library.files.glob(pattern)), [], library.read, collection=name)
        index = library.index()
        assert index.generation.manifest.dense.kind == ("ivf" if request.param == "ivf" else "exact")
        assert (len(index.generation.manifest.shards) > 4) == (request.param == "shards")
        return index

    @pytest.mark.parametrize("channel", CHANNELS)
    @pytest.mark.parametrize("fusion", ["mix", "rrf"])
    def test_there_are_k_when_there_are_k(self, index: Index, channel: Any, fusion: Any) -> None:
        settings = SearchSettings(channel=channel, fusion=fusion, candidates=3)
        question, where = f"{COMMON} pregunta", Filter(collections=("far",))
        assert not {hit.collection for hit in index.search(question, 5, settings=settings)} & {"far"}
        for k in (1, 5, 7):
            hits = index.search(question, k, settings=settings, where=where)
            assert [hit.collection for hit in hits] == ["far"] * k
            assert [hit.rank for hit in hits] == list(range(1, k + 1))
        assert len(index.search(question, 50, settings=settings, where=where)) == 7

    @pytest.mark.parametrize("channel", CHANNELS)
    def test_the_order_is_that_of_all_without_the_rest(self, index: Index, channel: Any) -> None:
        settings = SearchSettings(channel=channel, candidates=200)
        whole = index.search(f"una {COMMON} y otra", 200, settings=settings)
        kept = [hit for hit in whole if Path(hit.source).stem.startswith("cerca0")]
        found = index.search(f"una {COMMON} y otra", 200, settings=settings, where=Filter(sources=("cerca0*.txt",)))
        assert [hit.chunk.id for hit in found] == [hit.chunk.id for hit in kept]
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in kept], rel=1e-5)

    def test_vectors_and_many_questions_are_filtered_too(self, index: Index, library: Library) -> None:
        where = Filter(collections=("far",))
        vector = library.embedder.encode_queries([COMMON])[0]
        assert len(index.search_vector(vector, 5, where=where)) == 5
        assert {hit.collection for hit in index.search_vector(vector, 50, where=where)} == {"far"}
        assert index.search_vector(vector, 5, where=Filter(collections=("none",))) == []
        questions = [COMMON, "relleno3", ""]
        assert index.search_many(questions, 4, where=where) == [
            index.search(each, 4, where=where) for each in questions
        ]


ODD = (
    "it's.txt", 'say "hi".txt', "'; DROP TABLE sources; --.txt", "50%_off.txt", "a*b.txt", "notes[1].txt",
    "q?.txt", "back\\slash.txt", "[.txt", "ñandú é.txt", ":filter_0.txt", "😀.txt", "-- x.txt",
)  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="such names are not allowed there")
class TestOddNames:
    @pytest.fixture
    def index(self, library: Library) -> Index:
        put(library, *(File(name, f"{COMMON} {number}") for number, name in enumerate(ODD)))
        return library.index()

    @pytest.mark.parametrize("name", ODD)
    def test_a_name_means_its_file(self, index: Index, library: Library, name: str) -> None:
        matched = {other for other in ODD if fnmatchcase(other, name)}
        assert paths(index, Filter(sources=(name,))) == matched | {name}
        assert name in paths(index, Filter(sources=(str(library.files / name),)))

    def test_what_looks_like_sql_is_a_name(self, index: Index) -> None:
        for text in ("' OR 1=1 --", "x') OR ('1'='1", "%", "_", "\\", "s.path", ":generation", "];", '"'):
            assert paths(index, Filter(sources=(text,))) == set()
            assert paths(index, Filter(collections=(text,))) == set()
            assert paths(index, Filter(languages=(text,))) == set()
            assert paths(index, Filter(metadata=((text, text),))) == set()
        assert len(index.sources()) == len(ODD)


@pytest.mark.parametrize("text", ["o'neil", '"$.author"', "a.b[0]", "", "ñ 😀", "%"])
def test_metadata_and_collections_are_compared_as_they_are(library: Library, text: str) -> None:
    name = text or "vacía"
    with library.writer() as writer:
        writer.add([Document("d1", "x", COMMON, (), "es", {text: text, "n": "1"}, "d1")], collection=name)
        writer.add([Document("d2", "y", f"{COMMON} dos", (), "es", {"other": text}, "d2")])
    index = library.index()

    def found(where: Filter) -> list[str]:
        return [hit.source for hit in index.search(COMMON, 5, where=where)]

    assert found(Filter(metadata=((text, text),))) == ["x"]
    assert found(Filter(metadata=((text, text), ("n", "1")))) == ["x"]
    assert found(Filter(metadata=((text, text), ("n", "2")))) == []
    assert found(Filter(collections=(name,))) == ["x"]


def test_a_text_that_tells_its_source_is_found_by_it(library: Library) -> None:
    with library.writer() as writer:
        writer.add([Document("d1", "id-1", COMMON, (), "es", {"source": "faros.pdf"}, "d1")])
        writer.add([Document("d2", "id-2", f"{COMMON} dos", (), "es", {"title": "faros.pdf"}, "d2")])
    hits = library.index().search(COMMON, 5, where=Filter(sources=("faros.pdf",)))
    assert [hit.source for hit in hits] == ["id-1"]


def test_thousands_of_sources(index: Index) -> None:
    names = tuple(f"nothing{number}.txt" for number in range(3000))
    assert paths(index, Filter(sources=(*names, "perro.txt"))) == {"casa/perro.txt"}


class TestTime:
    def test_from_is_within_and_until_is_not(self, index: Index) -> None:
        moment = START + DAY
        assert "casa/perro.txt" in paths(index, Filter(modified_from=moment))
        assert "casa/perro.txt" not in paths(index, Filter(modified_until=moment))
        just = timedelta(microseconds=1)
        assert "casa/perro.txt" not in paths(index, Filter(modified_from=moment + just))
        assert "casa/perro.txt" in paths(index, Filter(modified_until=moment + just))

    def test_zones_tell_the_same_moment(self, index: Index) -> None:
        elsewhere = (START + DAY).astimezone(timezone(timedelta(hours=-5)))
        assert elsewhere.day == START.day
        assert paths(index, Filter(modified_from=elsewhere)) == paths(index, Filter(modified_from=START + DAY))

    def test_no_time_is_too_far(self, index: Index) -> None:
        first, last = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
        assert len(paths(index, Filter(modified_from=first, modified_until=last))) == 5
        assert paths(index, Filter(modified_from=last)) == paths(index, Filter(modified_until=first)) == set()


class TestMasks:
    """What a filter keeps is remembered for a generation, not longer."""

    def test_a_filter_follows_what_is_published(self, index: Index, library: Library) -> None:
        where = Filter(collections=("tesis",))
        before = paths(index, where)
        put(library, File("tesis/nuevo.txt", f"Algo nuevo. {COMMON}", collection="tesis"))
        assert paths(index, where) == before | {"tesis/nuevo.txt"}
        with library.writer() as writer:
            writer.remove([str(library.files / "tesis/cat.txt")])
        assert paths(index, where) == {"tesis/gato.txt", "tesis/nuevo.txt"}

    def test_a_text_enters_another_collection_without_new_chunks(self, index: Index, library: Library) -> None:
        where = Filter(collections=("tesis",))
        assert "casa/perro.txt" not in paths(index, where)
        put(library, replace(FILES[1], collection="tesis"))
        assert "casa/perro.txt" in paths(index, where)

    def test_generations_keep_their_own(self, index: Index, library: Library) -> None:
        where = Filter(languages=("pt",))
        assert len(paths(index, where)) == 1
        old = index.generation
        put(library, File("outro.txt", f"Outro. {COMMON}", language="pt"))
        assert len(paths(index, where)) == 2
        assert old.mask(where, index._store).sum() == 1
        assert index.generation.mask(where, index._store).sum() == 2

    def test_it_is_asked_for_once_and_few_are_kept(self, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[Filter] = []
        matching = index._store.matching
        monkeypatch.setattr(
            index._store, "matching", lambda where, number: asked.append(where) or matching(where, number)
        )
        filters = [Filter(sources=(f"{number}.txt",)) for number in range(40)]
        for where in filters:
            for _ in range(2):
                paths(index, where)
        assert asked == filters
        assert len(index.generation._masks) <= 16

    def test_an_empty_filter_is_none(self, index: Index) -> None:
        assert paths(index, Filter()) == paths(index, None)
        assert not index.generation._masks


def wrong_filters() -> Iterator[Any]:
    moment = datetime(2026, 1, 1)
    yield {"modified_from": moment}, ValueError, "time zone"
    yield {"modified_until": moment}, ValueError, "time zone"
    for name in ("collections", "languages", "sources"):
        yield {name: ("",)}, ValueError, f"{name} must not hold an empty name"
        yield {name: "tesis"}, TypeError, f"{name} holds 'tesis'"
        yield {name: ["tesis"]}, TypeError, "must be a tuple"
        yield {name: (1,)}, TypeError, "must be a tuple of texts"
        yield {name: ("a\0b",)}, ValueError, "not valid text"
        yield {name: ("a\udcff",)}, ValueError, "not valid text"
    yield {"metadata": {"author": "Ana"}}, TypeError, "metadata"
    yield {"metadata": [("author", "Ana")]}, TypeError, "pairs"
    yield {"metadata": (("author",),)}, TypeError, "pairs"
    yield {"metadata": (("year", 2026),)}, TypeError, "tuple of texts"


@pytest.mark.parametrize(("given", "kind", "told"), [*wrong_filters()])
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        Filter(**given)


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", "a\x1b[31m", "a\u202eb", " a", "a ", "a\u200bb", "\udcff"])
def test_a_name_that_no_collection_can_have(library: Library, name: str) -> None:
    with pytest.raises(ValueError, match="1 to 64 printable characters"):
        check_collection(name)
    with library.writer() as writer, pytest.raises(ValueError, match="collection"):
        writer.sync([], [], library.read, collection=name)
    with library.writer() as writer, pytest.raises(ValueError, match="collection"):
        writer.add([], collection=name)


@pytest.mark.parametrize("name", ["a", "x" * 64, "Tesis de Ana", "ñandú", "日本", "o'neil; --", "a/b"])
def test_a_name_that_a_collection_can_have(name: str) -> None:
    assert check_collection(name) == name
