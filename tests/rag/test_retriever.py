"""Questions find passages, as many as asked for, out of the index as it is now."""

from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from index.errors import IndexNotFoundError
from index.filters import Filter
from ingest.types import Span
from rag.compose import Fuente
from rag.retriever import Retriever
from tests.rag.conftest import ScriptedChooser

TEXTS = {
    "redes.txt": "Las redes generativas adversarias enfrentan un generador y un discriminador.",
    "agua.txt": "El agua hierve a cien grados al nivel del mar.",
    "lstm.txt": "A porta de esquecimento da LSTM decide o que a célula guarda.",
}


@pytest.fixture
def fuente(plain_settings: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Fuente:
    monkeypatch.setenv("FUENTE_MODELS__EMBEDDER", str(tiny_models / "embedder"))
    for name, text in TEXTS.items():
        Path(name).write_text(text, encoding="utf-8")
    found = Fuente.configured(retrieval={"k": 2, "dense_weight": 0.0})
    found.ingest(list(TEXTS))
    return found


def sources(retriever: Retriever, question: str, k: int | None = None) -> list[str]:
    return [Path(hit.source).name for hit in retriever.search(question, k=k)]


def test_the_best_passage_comes_first(fuente: Fuente) -> None:
    assert sources(fuente.retriever, "¿A cuántos grados hierve el agua?", 1) == ["agua.txt"]
    assert sources(fuente.retriever, "¿Qué hace la porta de esquecimento?", 1) == ["lstm.txt"]


def test_hits_are_ranked_and_exact(fuente: Fuente) -> None:
    hits = fuente.retriever.search("¿Quién enfrenta un generador y un discriminador?", k=3)
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for hit in hits:
        document = fuente.index.document(hit.chunk.document_id)
        assert document is not None
        assert document.text[hit.chunk.start : hit.chunk.end] == hit.chunk.text


def test_k_is_the_configured_one_unless_given(fuente: Fuente) -> None:
    assert len(fuente.retriever.search("redes")) == 2
    assert len(fuente.retriever.search("redes", k=1)) == 1
    assert len(fuente.retriever.search("redes", k=50)) == 3


@pytest.mark.parametrize("k", [0, -1])
def test_no_passages_cannot_be_asked_for(k: int, fuente: Fuente) -> None:
    with pytest.raises(ValueError, match=f"k={k}"):
        fuente.retriever.search("redes", k=k)


def test_it_opens_an_index_by_its_folder(fuente: Fuente) -> None:
    opened = Retriever.open("fuente-index", retrieval={"k": 1, "dense_weight": 0.0})
    assert sources(opened, "¿A cuántos grados hierve el agua?") == ["agua.txt"]
    with pytest.raises(IndexNotFoundError, match="elsewhere"):
        Retriever.open("elsewhere")


def test_it_follows_the_index(fuente: Fuente) -> None:
    question = "¿A cuántos grados hierve el agua?"
    assert sources(fuente.retriever, question)[0] == "agua.txt"
    fuente.remove([str(Path("agua.txt").absolute())])
    assert "agua.txt" not in sources(fuente.retriever, question, 3)
    Path("hielo.txt").write_text("El hielo se funde a cero grados.", encoding="utf-8")
    fuente.ingest(["hielo.txt"])
    assert sources(fuente.retriever, "¿A cuántos grados se funde el hielo?")[0] == "hielo.txt"


def test_a_passage_over_two_pages_knows_the_page_of_each_character(fuente: Fuente) -> None:
    canvas = Canvas("puente.pdf")
    for text in ("El puente cruza la ría.", "Su vano mide 401 metros.", "Lo diseñó Florencio."):
        canvas.drawString(72, 720, text)
        canvas.showPage()
    canvas.save()
    fuente.ingest(["puente.pdf"])
    retriever = fuente.retriever
    (hit,) = retriever.search("¿Qué puente cruza la ría?", k=1)
    text = hit.chunk.text
    assert hit.chunk.page == 1
    pages = [retriever.page_at(hit, hit.chunk.start + text.index(word)) for word in ("puente", "401", "Florencio")]
    assert pages == [1, 2, 3]
    (plain,) = retriever.search("¿A cuántos grados hierve el agua?", k=1)
    assert retriever.page_at(plain, plain.chunk.start) is None


def test_a_filter_comes_before_the_number_of_passages(fuente: Fuente) -> None:
    question, only = "¿A cuántos grados hierve el agua?", Filter(sources=("lstm.txt",))
    assert [hit.source for hit in fuente.retriever.search(question, k=1, where=only)] == [
        str(Path("lstm.txt").absolute())
    ]
    assert fuente.retriever.search(question, where=Filter(collections=("otra",))) == []


def test_a_filter_of_its_own_is_used_unless_another_is_given(fuente: Fuente) -> None:
    retriever = Retriever(index=fuente.index, k=3, where=Filter(sources=("agua.txt", "redes.txt")))
    assert sources(retriever, "agua") == ["agua.txt", "redes.txt"]
    given = [Path(hit.source).name for hit in retriever.search("agua", where=Filter(sources=("lstm.txt",)))]
    assert given == ["lstm.txt"]
    assert len(retriever.search("agua", where=Filter())) == 3


async def test_a_filter_can_be_given_as_langchain_gives_options(fuente: Fuente) -> None:
    Path("tesis.txt").write_text("El agua de la tesis.", encoding="utf-8")
    fuente.ingest(["tesis.txt"], collection="tesis")
    where = Filter(collections=("tesis",))
    found = fuente.retriever.invoke("agua", where=where, k=5)
    assert [(Path(each.metadata["source"]).name, each.metadata["collection"]) for each in found] == [
        ("tesis.txt", "tesis")
    ]
    assert await fuente.retriever.ainvoke("agua", where=where, k=5) == found
    fuente.remove([str(Path("tesis.txt").absolute())], collection="tesis")
    assert fuente.retriever.invoke("agua", where=where) == []


def test_a_wrong_name_of_a_collection_is_told_before_anything_is_made(plain_settings: Path) -> None:
    with pytest.raises(ValueError, match="1 to 64 printable characters"):
        Fuente.configured(models={"embedder": "no such model"}).ingest(["."], collection="a\nb")
    assert not Path("fuente-index").exists()


def test_only_the_mixed_score_has_a_corpus_to_be_weighed_by(fuente: Fuente) -> None:
    assert fuente.retriever.corpus_size == 3
    for section in ({"channel": "dense"}, {"channel": "lexical"}, {"fusion": "rrf"}):
        assert Retriever.open("fuente-index", retrieval=section).corpus_size is None


def test_a_retriever_may_choose_otherwise_than_the_index_does(fuente: Fuente) -> None:
    Path("agua2.txt").write_text("El agua de mar es salada.\n\nEl agua hierve antes en la montaña.", encoding="utf-8")
    fuente.ingest(["agua2.txt"])
    retriever = Retriever(index=fuente.index, k=5, per_source=1, diversity=0.5)
    assert (retriever.settings.per_source, retriever.settings.diversity) == (1, 0.5)
    found = sources(retriever, "agua")
    assert len(found) == len(set(found))
    assert Retriever(index=fuente.index).settings == fuente.index.settings


STORY = " ".join(f"La estación {number} del tren tiene {number + 20} andenes." for number in range(40))


def test_a_passage_is_read_with_its_surroundings(fuente: Fuente) -> None:
    Path("tren.txt").write_text(f"Un aviso.\n\n{STORY}", encoding="utf-8")
    changed = {"retrieval": {"surroundings_tokens": 400, "k": 2}, "ingest": {"chunk_tokens": 64, "min_chunk_tokens": 0}}
    small = Fuente.configured(index=Path("small"), **changed)
    small.ingest(["tren.txt"])
    question = "¿Cuántos andenes tiene la estación 17?"
    found = small.index.search(question, 2)
    read = small.retriever.search(question)
    assert [hit.chunk.id for hit in read] == [hit.chunk.id for hit in found]
    assert [(hit.rank, hit.score) for hit in read] == [(hit.rank, hit.score) for hit in found]
    document = small.index.document(read[0].chunk.document_id)
    assert document is not None
    for hit, chunk in zip(read, (hit.chunk for hit in found), strict=True):
        assert hit.matched == Span(chunk.start, chunk.end)
        assert chunk.text in hit.chunk.text == document.text[hit.chunk.start : hit.chunk.end]
        assert hit.chunk.text.endswith("andenes.")
    assert len(read[0].chunk.text) > 2 * len(found[0].chunk.text)
    assert Retriever(index=small.index, k=2).search(question) == found


def test_citations_of_what_was_read_around_are_exact(fuente: Fuente) -> None:
    Path("tren.txt").write_text(STORY, encoding="utf-8")
    changed = {"retrieval": {"surroundings_tokens": 400, "k": 1}, "ingest": {"chunk_tokens": 64, "min_chunk_tokens": 0}}
    small = Fuente.configured(index=Path("small"), **changed)
    small.ingest(["tren.txt"])
    (found,) = small.index.search("andenes de la estación 17", 1)
    (read,) = small.retriever.search("andenes de la estación 17")
    told = read.chunk.text[: found.chunk.start - read.chunk.start].split(". ")[0] + "."
    vars(small)["generator"] = ScriptedChooser([told], 10.0)
    answer = small.answerer.answer("andenes de la estación 17")
    (citation,) = answer.citations
    document = small.index.document(citation.document_id)
    assert document is not None
    assert citation.quote == told == document.text[citation.start : citation.end]
    assert citation.end <= found.chunk.start
