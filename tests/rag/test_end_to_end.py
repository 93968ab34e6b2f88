"""The packaged models over real files: what a person gets."""

import json
import re
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from index.embedder import Embedder
from rag.compose import Fuente
from rag.config import load_config
from rag.generator import Generator
from rag.types import Answer

pytestmark = pytest.mark.models

ROOT = Path(__file__).parents[2]


def write_files(folder: Path) -> None:
    (folder / "museum.txt").write_text(
        "The Lighthouse Museum of Vigo opened in 1987. It keeps 412 lamps. The oldest lamp was built in 1823"
        " by Augustin Fresnel.",
        encoding="utf-8",
    )
    (folder / "receta.md").write_text(
        "# Cocina\n\n## Tortilla\n\nLa tortilla lleva seis huevos, cuatro patatas y una cebolla.\n\n"
        "## Gazpacho\n\nEl gazpacho se enfría durante tres horas antes de servirlo.",
        encoding="utf-8",
    )
    canvas = Canvas(str(folder / "bridge.pdf"))
    canvas.drawString(72, 720, "The Rande bridge crosses the Vigo estuary and was finished in 1978.")
    canvas.showPage()
    canvas.drawString(72, 720, "Its main span is 401 metres long. Florencio del Pozo designed it.")
    canvas.save()


@pytest.fixture(scope="module")
def fuente(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder, small_generator: Generator) -> Fuente:
    folder = tmp_path_factory.mktemp("library")
    (folder / "files").mkdir()
    write_files(folder / "files")
    generation = {"temperature": 0.0, "max_tokens": 60, "caution": 0.0}
    found = Fuente(load_config(index=folder / "index", generation=generation), embedder=embedder)
    vars(found)["generator"] = small_generator  # where the property keeps what it built
    found.ingest([folder / "files"])
    return found


def check(fuente: Fuente, answer: Answer) -> None:
    """Every marker resolves, and every quote stands where the citation says."""
    assert set(re.findall(r"\[(\d+)\]", answer.text)) == {citation.marker for citation in answer.citations}
    for citation in answer.citations:
        document = fuente.index.document(citation.document_id)
        assert document is not None
        assert document.text[citation.start : citation.end] == citation.quote
        if citation.page is not None:
            page = document.pages[citation.page - 1]
            assert page.start <= citation.start < page.end


def test_answers_are_cited_exactly(fuente: Fuente) -> None:
    expected = {
        "In which year did the Lighthouse Museum of Vigo open?": ("museum.txt", "1987", None),
        "How long is the main span of the Rande bridge?": ("bridge.pdf", "401", 2),
    }
    for question, (name, fact, page) in expected.items():
        answer = fuente.answerer.answer(question)
        check(fuente, answer)
        assert not answer.abstained, answer
        assert fact in answer.text
        assert (Path(answer.citations[0].source).name, answer.citations[0].page) == (name, page)
        assert fact in answer.citations[0].quote
        again = fuente.answerer.answer(question)
        assert (again.text, again.citations) == (answer.text, answer.citations)


def test_questions_cross_languages(fuente: Fuente) -> None:
    hits = fuente.retriever.search("How many eggs does the omelette take?")
    assert Path(hits[0].source).name == "receta.md"
    assert hits[0].language == "es"


def test_changes_of_the_files_are_seen_by_the_next_question(fuente: Fuente) -> None:
    files = fuente.config.index.parent / "files"
    again = fuente.ingest([files])
    assert (len(again.unchanged), again.embedded) == (3, 0)
    question = "When did the Lighthouse Museum of Vigo open?"
    (files / "museum.txt").unlink()
    assert fuente.ingest([files]).removed == [str(files / "museum.txt")]
    answer = fuente.answerer.answer(question)
    check(fuente, answer)
    assert all(Path(hit.source).name != "museum.txt" for hit in answer.hits)
    assert "1987" not in answer.text


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Fuente:
    """The sample documents in an index of their own."""
    found = Fuente(load_config(index=tmp_path_factory.mktemp("samples") / "index"), embedder=embedder)
    report = found.ingest([ROOT / "samples"])
    assert not report.failed
    return found


def test_samples_are_found(samples: Fuente) -> None:
    questions = json.loads((ROOT / "docs/samples/questions.json").read_text(encoding="utf-8"))["questions"]
    ranks = []
    for question in questions:
        hits = samples.retriever.search(question["question"], k=5)
        right = (ROOT / "samples" / question["source"]).resolve()
        ranks.append(next((hit.rank for hit in hits if Path(hit.source).resolve() == right), 99))
    first, five = (sum(rank <= limit for rank in ranks) / len(ranks) for limit in (1, 5))
    missed = [question["question"] for question, rank in zip(questions, ranks, strict=True) if rank > 5]
    print(f"samples: the right source is first for {first:.1%}, among five for {five:.1%}; missed: {missed}")
    assert five >= 0.9, missed
    assert first >= 0.8


def test_samples_hold_their_answers(samples: Fuente) -> None:
    """What the question set says about a document stands in its text."""
    questions = json.loads((ROOT / "docs/samples/questions.json").read_text(encoding="utf-8"))["questions"]
    sources = [str(ROOT / "samples" / question["source"]) for question in questions]
    documents = samples.index.documents_of(sources)
    for question, source in zip(questions, sources, strict=True):
        text = " ".join(documents[source].text.split())
        for fact in question["answer_contains"]:
            assert fact in text, (question["question"], fact)
