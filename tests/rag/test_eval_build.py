"""Question sets over a person's own documents: how they are written, checked, reviewed and used."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from typer.testing import CliRunner

from index.types import Hit
from ingest.types import Chunk, Span
from rag.cli import app
from rag.compose import Fuente
from rag.evaluation import EvaluationDataError, EvaluationRecordsError, read_squad
from rag.evaluation.building import QuestionWriter
from rag.evaluation.checks import Asked, agrees, problem, supported
from rag.evaluation.documents import over_documents, whole_documents
from rag.evaluation.entities import answer_spans
from rag.evaluation.gold import Gold, name_of
from rag.evaluation.own import is_own, placed, read_own
from rag.evaluation.passages import source_passages
from rag.evaluation.questions import Paragraph, Question, QuestionSet
from rag.evaluation.swapping import swaps
from rag.evaluation.wording import question_in
from rag.types import Message, Sampling

LIGHT = (
    "La torre del faro de Corcubión mide 42 metros de altura sobre la roca. La proyectó el ingeniero Celedonio Uribe"
    " durante el reinado de Isabel Segunda. Su lámpara gira despacio toda la noche."
)
BRIDGE = (
    "A ponte de Arrábida atravessa o rio Douro com um arco de betão muito largo. O autor do projeto foi o engenheiro"
    " Edgar Cardoso, professor em Lisboa. O tabuleiro tem 493 metros de comprimento."
)
CLOCK = (
    "The harbour clock of Whitby was built by the watchmaker Thomas Kettlewell for the fishing fleet. Its bell weighs"
    " 730 kilograms and rings each hour. The clock face was painted by Agnes Marlowe."
)
PASSAGE = "El faro de Corcubión mide 42 metros y lo proyectó Celedonio Uribe. Su luz llega a Fisterra."
QUESTIONS = {
    "42 metros": "¿Cuántos mide la torre del faro de Corcubión?",
    "Celedonio Uribe": "¿Qué ingeniero proyectó la torre del faro de Corcubión?",
    "Isabel Segunda": "¿En qué reinado se proyectó el faro de Corcubión?",
    "493 metros": "Que comprimento tem o tabuleiro da ponte de Arrábida?",
    "Edgar Cardoso": "Quem foi o engenheiro autor do projeto da ponte de Arrábida?",
    "730 kilograms": "How much does the bell of the harbour clock of Whitby weigh?",
    "Thomas Kettlewell": "Which watchmaker built the harbour clock of Whitby?",
    "Agnes Marlowe": "Who painted the face of the harbour clock of Whitby?",
}


class Examiner:
    """Writes the question that goes with an answer and answers it again; trusts no other question."""

    def __init__(self, questions: dict[str, str] = QUESTIONS, *, stop_after: int | None = None) -> None:
        self.name = "examiner"
        self.context_tokens = 4096
        self.questions = questions
        self.second = {question: answer for answer, question in questions.items()}
        self.asked: list[str] = []
        self._stop_after = stop_after

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def stream(self, messages: Sequence[Message], sampling: Sampling, *, cancel: Event | None = None) -> Iterator[str]:
        if len(self.asked) == self._stop_after:
            raise KeyboardInterrupt
        last = messages[-1].content
        self.asked.append(last)
        label, said = last.rsplit("\n", 1)[-1].split(": ", 1)
        if label in ("Respuesta", "Resposta", "Answer"):
            yield self.questions.get(said, "No lo sé.")
        else:
            yield self.second.get(said, "NO_ANSWER")

    def log_odds(self, messages: Sequence[Message], first: str, second: str, *, cancel: Event | None = None) -> float:
        return 3.0 if any(question in messages[-1].content for question in self.second) else -3.0


@pytest.fixture
def fuente(plain_settings: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Fuente:
    """Three documents in three languages, found by their words."""
    monkeypatch.setenv("FUENTE_MODELS__EMBEDDER", str(tiny_models / "embedder"))
    monkeypatch.setenv("FUENTE_MODELS__GENERATOR", str(tiny_models / "generator"))
    monkeypatch.setenv("FUENTE_MODELS__CACHE", str(plain_settings / "cache"))
    monkeypatch.setenv("FUENTE_MODELS__DEVICE", "cpu")
    monkeypatch.setenv("FUENTE_RETRIEVAL__DENSE_WEIGHT", "0")
    monkeypatch.setenv("FUENTE_INGEST__CHUNK_TOKENS", "64")
    monkeypatch.setenv("FUENTE_INGEST__MIN_CHUNK_TOKENS", "8")
    docs = plain_settings / "docs"
    docs.mkdir()
    for name, text in (("faro.txt", LIGHT), ("ponte.txt", BRIDGE), ("clock.txt", CLOCK)):
        (docs / name).write_text(text, encoding="utf-8")
    found = Fuente.configured()
    found.ingest([docs])
    return found


def build(fuente: Fuente, generator: Any, count: int = 4, *, seed: int = 0, path: Path = Path("own.json")) -> Any:
    QuestionWriter(fuente.index, generator, seed=seed).build(path, count)
    return json.loads(path.read_text(encoding="utf-8"))


def questions_of(content: Any) -> list[dict[str, Any]]:
    return [
        {**qa, "context": paragraph["context"], "start": paragraph["start"], "source": article["source"]}
        for article in content["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]


# What is wrong with a question


@pytest.mark.parametrize(
    ("question", "span", "expected"),
    [
        ("¿Cuánto mide el faro de Corcubión?", "42 metros", None),
        ("Cuánto mide el faro de Corcubión", "42 metros", "no question mark"),
        ("¿Cuánto mide?", "42 metros", "too short"),
        ("¿Cuánto " + "y cuánto " * 20 + "mide el faro?", "42 metros", "too long"),
        ("¿Mide 42 metros el faro de Corcubión?", "42 metros", "answer in the question"),
        ("¿Cuánto mide el faro según el texto?", "42 metros", "about the text itself"),
        ("¿De qué trata este pasaje sobre el faro de Corcubión?", "42 metros", "about the text itself"),
        ("How tall is the lighthouse of Corcubión?", "42 metros", "other language"),
        ("¿Cuántas manzanas verdes comió el caballo?", "42 metros", "not about the passage"),
        ("¿Cuánto mide el faro de Corcubión?", "43 metros", "answer not in the passage"),
        ("¿Cuánto mide el faro de Corcubión?", "   ", "answer not in the passage"),
    ],
)
def test_each_fault_of_a_question_is_named(question: str, span: str, expected: str | None) -> None:
    assert problem(question, span, PASSAGE, "es") == expected


@pytest.mark.parametrize(
    "question", ["Segundo o autor, quem projetou o farol?", "What does the passage say of towers?"]
)
def test_questions_about_the_text_are_noticed_in_each_language(question: str) -> None:
    language = "pt" if question.startswith("Segundo") else "en"
    passage = "O farol foi projetado por Uribe. The towers of the passage."
    assert problem(question, "Uribe", passage, language) == "about the text itself"


def test_a_text_may_be_what_a_document_is_about() -> None:
    passage = "La clasificación de texto asigna una etiqueta. BERT clasifica texto con 110 millones de pesos."
    assert problem("¿Con cuántos millones de pesos clasifica texto BERT?", "110", passage, "es") is None


def test_the_second_answer_agrees_give_or_take_a_word() -> None:
    assert agrees("42 metros", "42 metros", "es")
    assert agrees("Mide 42 metros.", "42 metros", "es")
    assert agrees("metros 42", "42 metros", "es")
    assert not agrees("Celedonio Uribe", "42 metros", "es")
    assert not agrees("", "42 metros", "es")
    assert not agrees("NO_ANSWER", "42 metros", "es")


def test_near_duplicates_are_noticed() -> None:
    asked = Asked([("¿Cuánto mide el faro de Corcubión?", "es")])
    assert asked.has_like("¿Cuántos metros mide el faro de Corcubión?", "es")
    assert not asked.has_like("¿Quién proyectó el faro de Corcubión?", "es")
    asked.add("¿Quién proyectó el faro de Corcubión?", "es")
    assert asked.has_like("¿Y quién proyectó el faro de Corcubión?", "es")


def test_a_sentence_supports_only_with_the_exchanged_name_in_it() -> None:
    question, passages = "¿Qué ingeniero proyectó el faro de Fisterra?", [(LIGHT, "es")]
    assert not supported(question, "Fisterra", passages)
    assert supported(question, "Fisterra", [("El ingeniero Uribe proyectó el faro de Fisterra.", "es")])
    # The name and what is asked, but in two sentences.
    assert not supported(question, "Fisterra", [("Fui a Fisterra. Un ingeniero proyectó el faro.", "es")])


def test_answers_are_names_and_numbers_with_their_unit() -> None:
    spans = answer_spans(PASSAGE, "es", "0")
    said = {PASSAGE[span.start : span.end] for span in spans}
    assert said == {"42 metros", "Corcubión", "Celedonio Uribe", "Fisterra"}
    assert answer_spans(PASSAGE, "es", "0") == spans
    version = "El modelo Qwen2.5 se entrenó en Hangzhou."
    assert {version[span.start : span.end] for span in answer_spans(version, "es", "0")} == {"Hangzhou"}
    years = "Nació en 1953 en Vigo."
    assert {years[span.start : span.end] for span in answer_spans(years, "es", "0")} == {"1953", "Vigo"}


def test_a_name_is_exchanged_for_one_that_is_new_to_the_question_and_its_passage() -> None:
    question = "¿Qué ingeniero proyectó el faro de Corcubión?"
    found = list(swaps(question, PASSAGE, [CLOCK, PASSAGE], seed=0))
    assert 1 <= len(found) <= 3
    for swap in found:
        assert swap.original == "Corcubión"
        assert swap.replacement in CLOCK
        assert swap.replacement not in PASSAGE
        assert swap.question == question.replace("Corcubión", swap.replacement)
    assert list(swaps(question, PASSAGE, [], seed=0)) == []


@pytest.mark.parametrize(
    ("reply", "question"),
    [
        ("Pregunta: ¿Qué es?", "¿Qué es?"),
        ("**Question:** What is it?\nAnswer: a thing", "What is it?"),
        ("\n«¿Qué es?»", "¿Qué es?"),
        ("", ""),
    ],
)
def test_the_question_is_taken_out_of_a_reply(reply: str, question: str) -> None:
    assert question_in(reply) == question


# Passages


def test_passages_are_verbatim_and_spread_over_documents_and_languages(fuente: Fuente) -> None:
    long = "\n\n".join(f"El capítulo {n} trata de las mareas altas y de los vientos. " + LIGHT for n in range(20))
    Path("docs/largo.txt").write_text(long, encoding="utf-8")
    fuente.ingest([Path("docs")])
    passages = list(source_passages(fuente.index, seed=3))
    assert [passage.language for passage in passages[:3]] == ["es", "pt", "en"]
    assert {Path(passage.source).name for passage in passages[:4]} == {
        "faro.txt",
        "largo.txt",
        "ponte.txt",
        "clock.txt",
    }
    assert len(passages) > 5
    for passage in passages:
        document = fuente.index.document(passage.document_id)
        assert document is not None
        assert document.text[passage.start : passage.end] == passage.text
        assert 100 <= len(passage.text) <= 900
    ends: dict[str, int] = {}
    for passage in sorted(passages, key=lambda one: (one.document_id, one.start)):
        assert passage.start >= ends.get(passage.document_id, 0)
        ends[passage.document_id] = passage.end
    assert passages == list(source_passages(fuente.index, seed=3))
    assert passages != list(source_passages(fuente.index, seed=4))
    assert {passage.language for passage in source_passages(fuente.index, 0, ["pt"])} == {"pt"}


# The file


def test_gold_answers_are_verbatim_in_their_documents(fuente: Fuente) -> None:
    content = build(fuente, Examiner())
    asked = questions_of(content)
    possible = [one for one in asked if not one["is_impossible"]]
    assert {one["language"] for one in possible} == {"es", "pt", "en"}
    for one in possible:
        [answer] = one["answers"]
        text = Path(one["source"]).read_text(encoding="utf-8")
        start = one["start"] + answer["answer_start"]
        assert text[start : start + len(answer["text"])] == answer["text"]
        assert QUESTIONS[answer["text"]] == one["question"]
        assert (one["status"], one["hard"]) == ("generated", False)
    assert not Path("own.json.part").exists()


def test_unanswerable_questions_name_what_their_passage_does_not(fuente: Fuente) -> None:
    [impossible] = [one for one in questions_of(build(fuente, Examiner())) if one["is_impossible"]]
    original, replacement = impossible["exchanged"]
    assert impossible["answers"] == []
    assert replacement in impossible["question"]
    assert original not in impossible["question"]
    assert original in impossible["context"]
    assert replacement not in impossible["context"]


def test_the_generator_may_veto_an_unanswerable_question(fuente: Fuente) -> None:
    """By trusting it as much as the question that it was made of."""

    class Believer(Examiner):
        def log_odds(self, *arguments: Any, **options: Any) -> float:
            return -3.0

    assert not [one for one in questions_of(build(fuente, Believer())) if one["is_impossible"]]


def test_the_same_seed_writes_the_same_file(fuente: Fuente) -> None:
    first = build(fuente, Examiner())
    assert build(fuente, Examiner(), path=Path("again.json")) == first
    others = [build(fuente, Examiner(), seed=seed, path=Path(f"{seed}.json"))["data"] for seed in (1, 2, 3)]
    assert any(other != first["data"] for other in others)


def test_the_file_is_in_squad_format(fuente: Fuente) -> None:
    build(fuente, Examiner())
    plain, own = read_squad(Path("own.json")), read_own(Path("own.json")).question_set
    assert {question.text for question in plain.questions} == {question.text for question in own.questions}
    assert is_own(Path("own.json"))


def test_an_interrupted_run_goes_on_where_it_stopped(fuente: Fuente) -> None:
    whole = build(fuente, Examiner(), path=Path("whole.json"))
    stopping = Examiner(stop_after=3)
    with pytest.raises(KeyboardInterrupt):
        build(fuente, stopping)
    assert not Path("own.json").exists()
    assert Path("own.json.part").exists()
    going_on = Examiner()
    assert build(fuente, going_on) == whole
    assert all(LIGHT in text for text in stopping.asked)
    assert not any(LIGHT in text for text in going_on.asked)


def test_what_may_be_gone_on_with_is_found(fuente: Fuente, tmp_path: Path) -> None:
    writer, folder = QuestionWriter(fuente.index, Examiner(), seed=0), tmp_path / "sets"
    assert writer.unfinished(folder) is None
    for seed in (0, 1):
        with pytest.raises(KeyboardInterrupt):
            QuestionWriter(fuente.index, Examiner(stop_after=3), seed=seed).build(folder / f"{seed}.json", 6)
    assert writer.unfinished(folder) == folder / "0.json"  # the newer one is of another seed
    writer.build(folder / "0.json", 6)
    assert writer.unfinished(folder) is None


def test_a_part_of_another_run_is_not_gone_on_with(fuente: Fuente) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(fuente, Examiner(stop_after=3))
    with pytest.raises(EvaluationRecordsError, match='"seed"'):
        build(fuente, Examiner(), seed=9)


def test_a_reviewed_file_is_not_overwritten(fuente: Fuente) -> None:
    build(fuente, Examiner())
    before = Path("own.json").read_text(encoding="utf-8")
    with pytest.raises(EvaluationDataError, match="somebody may have reviewed it"):
        build(fuente, Examiner())
    assert Path("own.json").read_text(encoding="utf-8") == before


def test_bad_questions_are_left_out_with_the_reason(fuente: Fuente) -> None:
    bad = {
        **QUESTIONS,
        "42 metros": "¿Mide 42 metros la torre del faro de Corcubión?",
        "Celedonio Uribe": "¿Quién es según el texto el ingeniero del faro?",
        "Isabel Segunda": "Isabel.",
    }
    built = QuestionWriter(fuente.index, Examiner(bad), seed=0).build(Path("own.json"), 4)
    asked = questions_of(json.loads(Path("own.json").read_text(encoding="utf-8")))
    assert {one["language"] for one in asked} == {"pt", "en"}
    possible = {"answer in the question", "about the text itself", "no question mark"}
    assert set(built.left_out) <= possible | {"nothing to exchange that no document answers"}
    assert set(built.left_out) & possible
    assert built.answerable == sum(not one["is_impossible"] for one in asked)


def test_a_question_that_its_own_passage_does_not_answer_is_left_out(fuente: Fuente) -> None:
    unsure = Examiner()
    unsure.second = {}
    with pytest.raises(EvaluationDataError, match=r"no passage yielded a question: .*second answer differs"):
        build(fuente, unsure)


def test_a_question_that_search_misses_is_marked_hard(fuente: Fuente, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*arguments: Any, **options: Any) -> list[Hit]:
        return []

    monkeypatch.setattr(fuente.index, "search", nothing)
    asked = questions_of(build(fuente, Examiner(), count=1))
    assert [one["hard"] for one in asked] == [True]


# Use


def review(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                change(qa)
    path.write_text(json.dumps(content), encoding="utf-8")


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def test_the_own_index_is_measured(fuente: Fuente) -> None:
    build(fuente, Examiner())
    report = run("eval", "own.json", "--retrieval-only", "--plots", "plots")
    names = {"recall.png", "channels.png", "latency.png", "curves.json"}
    assert {path.name for path in Path("plots").iterdir()} == names
    drawn = json.loads(Path("plots/curves.json").read_text(encoding="utf-8"))
    assert drawn["recall"]["fused"][2]["recall"] == report["retrieval"]["recall@3"]["value"]
    assert sum(drawn["channels"].values()) == pytest.approx(1.0)
    assert report["retrieval"]["recall@3"]["value"] == 1.0
    assert report["set"]["questions"] == 3
    assert not list(Path("cache").glob("evaluation/*"))  # nothing was indexed anew


def test_answers_are_measured_on_the_own_index(fuente: Fuente) -> None:
    build(fuente, Examiner())
    report = run("eval", "own.json", "-k", "2")
    assert report["set"]["questions"] == 4
    assert report["abstention"]["abstained_unanswerable"] + report["abstention"]["answered_unanswerable"] == 1


def test_rejected_questions_are_skipped(fuente: Fuente) -> None:
    build(fuente, Examiner())
    rejected = QUESTIONS["493 metros"], QUESTIONS["Edgar Cardoso"]

    def reject(qa: dict[str, Any]) -> None:
        qa["status"] = "rejected" if qa["language"] == "pt" else "accepted"

    review(Path("own.json"), reject)
    left = read_own(Path("own.json")).question_set.questions
    assert left
    assert not {question.text for question in left} & set(rejected)
    review(Path("own.json"), lambda qa: qa.update(status="rejected"))
    with pytest.raises(EvaluationDataError, match="no question is left"):
        read_own(Path("own.json"))
    review(Path("own.json"), lambda qa: qa.update(status="approved"))
    with pytest.raises(EvaluationDataError, match='the status "approved" is unknown'):
        read_own(Path("own.json"))


def test_an_answer_that_a_person_changed_must_stand_in_the_context(fuente: Fuente) -> None:
    build(fuente, Examiner(), count=1)
    review(Path("own.json"), lambda qa: qa["answers"][0].update(text="43 leguas"))
    with pytest.raises(EvaluationDataError, match="does not stand in the context"):
        read_own(Path("own.json"))


def test_passages_that_moved_are_found_and_lost_ones_left_out(fuente: Fuente) -> None:
    build(fuente, Examiner())
    own = read_own(Path("own.json"))
    docs = Path("docs")
    (docs / "faro.txt").write_text("Un prólogo nuevo abre el documento. " + LIGHT, encoding="utf-8")
    (docs / "clock.txt").unlink()
    fuente.ingest([docs])
    question_set, golds = placed(own, fuente.index, Path("own.json"))
    assert {question.language for question in question_set.questions} == {"es", "pt"}
    for question in question_set.questions:
        for gold in golds.get(question.id, {}).values():
            document = fuente.index.document(gold.document_id)
            assert document is not None
            [span] = gold.ranges
            assert document.text[span.start : span.end] == question.answers[0]
    (docs / "faro.txt").unlink()
    (docs / "ponte.txt").unlink()
    (docs / "otro.txt").write_text("Otra cosa.", encoding="utf-8")
    fuente.ingest([docs])
    with pytest.raises(EvaluationDataError, match="none of its passages is in the index"):
        placed(own, fuente.index, Path("own.json"))


def test_options_of_public_sets_do_not_go_with_an_own_one(fuente: Fuente) -> None:
    build(fuente, Examiner())
    result = CliRunner().invoke(app, ["eval", "own.json", "--chunked"])
    assert isinstance(result.exception, ValueError)


def test_the_command_builds_with_a_real_generator(fuente: Fuente, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights are random, so every question that it writes must be found out."""
    result = CliRunner().invoke(app, ["eval", "build", "own.json", "--questions", "2", "--language", "es"])
    assert isinstance(result.exception, EvaluationDataError)
    assert "no passage yielded a question" in str(result.exception)
    assert not Path("own.json").exists()
    assert CliRunner().invoke(app, ["eval", "build", "own.json", "--language", "fr"]).exit_code == 2


# What counts as found


@pytest.mark.parametrize(
    ("start", "end", "entire", "in_part"),
    [(0, 10, True, True), (4, 8, True, True), (0, 6, False, True), (6, 20, False, True), (8, 20, False, False)],
)
def test_a_chunk_holds_a_range_whole_or_in_part(start: int, end: int, entire: bool, in_part: bool) -> None:
    chunk = Chunk(1, "d", "x" * (end - start), start, end, None, ())
    assert Gold("d", (Span(4, 8),), entire=True).is_in(chunk) is entire
    assert Gold("d", (Span(4, 8),)).is_in(chunk) is in_part
    assert not Gold("e", (Span(4, 8),)).is_in(chunk)
    assert Gold("d").is_in(chunk)


def article_set() -> QuestionSet:
    """Two articles; the word "siete" stands in two paragraphs and answers a question in the second only."""
    texts = {
        "p0": ("Mareas", "La marea sube siete veces en el cuento del pescador viejo."),
        "p1": ("Mareas", "El pescador viejo tenía siete redes verdes en su barca de madera."),
        "p2": ("Vientos", "El viento del norte se llama cierzo en el valle del río grande."),
    }
    paragraphs = tuple(Paragraph(key, title, text) for key, (title, text) in texts.items())
    asked = Question("q", "¿Cuántas redes verdes tenía el pescador?", ("siete",), (24,), "p1", False, "es")
    return QuestionSet("articles", "es", paragraphs, (asked,))


def test_whole_documents_join_their_paragraphs() -> None:
    given = article_set()
    documents, places = whole_documents(given)
    assert [document.source for document in documents] == ["Mareas", "Vientos"]
    assert documents[0].text == f"{given.paragraphs[0].text}\n\n{given.paragraphs[1].text}"
    by_id = {document.id: document for document in documents}
    for paragraph in given.paragraphs:
        document_id, start = places[paragraph.id]
        assert by_id[document_id].text[start:].startswith(paragraph.text)


def test_a_hit_holds_the_answer_in_its_own_paragraph(fuente: Fuente) -> None:
    given = article_set()
    harness = over_documents(fuente, given, Path("cache/evaluation"))
    [question] = given.questions
    hits = harness.index.search(question.text, 10)
    assert len(hits) > 2, "the documents were not cut"
    found = {harness.name(question, hit): hit.chunk.text for hit in hits}
    assert "siete redes" in found["p1"]
    assert all("siete redes" not in text for name, text in found.items() if name != "p1")
    assert harness.search([question])[0][0] == "p1"
    assert run_chunked(given)["retrieval"]["recall@1"]["value"] == 1.0


def run_chunked(given: QuestionSet) -> Any:
    """The same through the command, from a file."""
    data = []
    for title in dict.fromkeys(paragraph.document_title for paragraph in given.paragraphs):
        paragraphs = [
            {
                "context": paragraph.text,
                "qas": [
                    {
                        "id": question.id,
                        "question": question.text,
                        "answers": [{"text": question.answers[0], "answer_start": question.answer_starts[0]}],
                    }
                    for question in given.questions
                    if question.paragraph_id == paragraph.id
                ],
            }
            for paragraph in given.paragraphs
            if paragraph.document_title == title
        ]
        data.append({"title": title, "paragraphs": paragraphs})
    Path("set.es.json").write_text(json.dumps({"data": data}), encoding="utf-8")
    return run("eval", "set.es.json", "--chunked", "--retrieval-only")


def test_without_answers_every_chunk_of_a_paragraph_is_a_hit(fuente: Fuente) -> None:
    given = article_set()
    bare = replace(given, questions=(replace(given.questions[0], answers=(), answer_starts=()),))
    harness = over_documents(fuente, bare, Path("cache/evaluation"))
    hits = harness.index.search("pescador redes", 10)
    assert {hit.source for hit in hits} == {"p0", "p1", "p2"}
    assert {hit.source for hit in hits if harness.name(bare.questions[0], hit) == "p1"} == {"p1"}


def test_what_is_no_gold_has_a_name_of_its_own(fuente: Fuente) -> None:
    question = Question("q", "¿?", ("a",), (0,), "p0", False)
    names = [name_of(hit, question, {}) for hit in fuente.index.search("faro ponte clock", 10)]
    assert len(set(names)) == len(names)
    assert all(re.search(r"\.txt:\d+$", name) for name in names)
