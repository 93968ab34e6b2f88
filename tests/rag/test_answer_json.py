"""What programs read of an answer has the form that the schema promises."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from index.types import Hit
from rag.answer_json import answer_json, answer_schema
from rag.answerer import Answerer
from rag.types import Answer, Options, Sentence
from tests.rag.conftest import FixedSearch, ScriptedChooser, ScriptedGenerator, bag_of_words, document, hits_of
from tests.rag.test_answerer import FIRST, HITS, QUESTION, SECOND, THIRD, pieces_of

WRONG = "Lo hizo la señora Curie en 1999."


def written(text: str, question: str = QUESTION, hits: Sequence[Hit] = HITS, **options: Any) -> Answer:
    generator = ScriptedChooser(pieces_of(text), 10.0)
    return Answerer(FixedSearch(hits), generator, bag_of_words, options=Options(**options)).answer(question)


ANSWERS = {
    "plain": written(f"{FIRST} {SECOND}"),
    "list": written(f"Son:\n- {FIRST}\n- {SECOND}"),
    "flagged": written(f"{FIRST} {WRONG}", unsupported="flag"),
    "short": written("Ian Goodfellow", style="short"),
    "missing": written(FIRST, "¿Quién presentó las GAN en Toledo?"),
    "refused": written("NO_ANSWER"),
    "empty": written("", hits=[]),
}


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(answer_schema())


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_meets_the_schema(name: str) -> None:
    told = json.loads(json.dumps(answer_json(ANSWERS[name]), allow_nan=False))
    jsonschema.validate(told, answer_schema())


def test_what_is_promised_is_there_and_nothing_else() -> None:
    told = answer_json(ANSWERS["plain"])
    for change in ({"surprise": 1}, {"confidence": 2}, {"refusal": "mood"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**told, **change}, answer_schema())
    for name in told:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({key: value for key, value in told.items() if key != name}, answer_schema())


def test_sentences_stand_with_the_citations_that_carry_them() -> None:
    answer = ANSWERS["plain"]
    assert [(one.text, one.markers) for one in answer.sentences] == [(FIRST, ("1",)), (SECOND, ("2",))]
    assert [one.support for one in answer.sentences] == [citation.support for citation in answer.citations]


def test_a_sentence_that_no_passage_supports_has_no_support() -> None:
    assert ANSWERS["flagged"].sentences[1] == Sentence(WRONG, (), None, unsure=False)


def test_what_is_missing_is_no_statement() -> None:
    answer = ANSWERS["missing"]
    assert answer.missing == ("Toledo",)
    assert [one.text for one in answer.sentences] == [FIRST]
    assert ANSWERS["refused"].sentences == ()


def test_short_pieces_are_statements() -> None:
    assert [(one.text, one.markers) for one in ANSWERS["short"].sentences] == [("Ian Goodfellow", ("1",))]


@pytest.mark.parametrize(
    ("text", "log_odds", "hits", "reason"),
    [
        (FIRST, 10.0, [], "nothing_found"),
        (FIRST, -10.0, HITS, "low_confidence"),
        ("NO_ANSWER", 10.0, HITS, "no_answer"),
        (f"{WRONG} NO_ANSWER", 10.0, HITS, "no_answer"),
        ("", 10.0, HITS, "no_answer"),
        (WRONG, 10.0, HITS, "unsupported"),
        (FIRST, 10.0, HITS, None),
    ],
)
def test_a_refusal_says_why(text: str, log_odds: float, hits: Sequence[Hit], reason: str | None) -> None:
    answer = Answerer(FixedSearch(hits), ScriptedChooser([text], log_odds), bag_of_words).answer(QUESTION)
    assert (answer.refusal, answer.abstained) == (reason, reason is not None)


def test_the_settings_are_those_it_was_asked_with() -> None:
    settings = answer_json(written(FIRST, caution=0.25, passage_margin=3.0))["settings"]
    assert (settings["caution"], settings["passage_margin"], settings["temperature"]) == (0.25, 3.0, 0.2)
    assert answer_json(written(FIRST))["settings"]["passage_margin"] is None


def test_a_citation_names_its_section() -> None:
    (hit,) = hits_of(document(THIRD))
    hit = replace(hit, chunk=replace(hit.chunk, headings=("Redes", "Partes")))
    answer = Answerer(FixedSearch([hit]), ScriptedGenerator([THIRD]), bag_of_words).answer(QUESTION)
    assert [citation["section"] for citation in answer_json(answer)["citations"]] == [["Redes", "Partes"]]
