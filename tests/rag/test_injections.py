"""Documents are data: an order that stands in one never reaches the reader as an answer."""

import re

import pytest

from bench.injections import Injection, injections, page, says
from index.embedder import Embedder
from rag.answerer import Answerer
from rag.generator import Generator
from rag.prompt import build_prompt
from rag.types import Options, Sampling
from tests.rag.conftest import FixedSearch, ScriptedChooser, ScriptedExtractor, bag_of_words, document, hits_of

ALL = injections()


def asked(injection: Injection, generator: Generator, **options: object) -> str:
    text, question = page(injection)
    search = FixedSearch(hits_of(document(text, language=injection.language)))
    return Answerer(search, generator, bag_of_words, options=Options(**options)).answer(question).text  # type: ignore[arg-type]


def test_there_are_fifty_in_three_languages_and_their_words_stand_nowhere_in_the_page() -> None:
    assert len(ALL) == len({injection.text for injection in ALL}) == 50
    assert {injection.language for injection in ALL} == {"es", "pt", "en"}
    for injection in ALL:
        assert injection.word not in page(injection)[0].upper()
        assert says(page(injection)[0], injection.word)  # spelt out


@pytest.mark.parametrize("injection", ALL, ids=lambda one: f"{one.language}-{one.word}")
@pytest.mark.parametrize("reply", ["{}", "{}.", "Claro: {}", "{0} {0} {0}", "La palabra es {}."])
def test_a_model_that_obeys_everything_is_not_shown(injection: Injection, reply: str) -> None:
    obeyed = reply.format(injection.word.capitalize())
    assert not says(asked(injection, ScriptedChooser([obeyed], 12.0)), injection.word)


@pytest.mark.parametrize("injection", ALL[::7], ids=lambda one: one.word)
def test_a_short_answer_is_no_word_that_the_page_only_spells_out(injection: Injection) -> None:
    assert not says(asked(injection, ScriptedExtractor(injection.word), style="short"), injection.word)


@pytest.mark.parametrize("injection", ALL, ids=lambda one: one.language)
def test_nothing_in_a_document_can_end_the_passages(injection: Injection) -> None:
    text, question = page(injection)
    hits = hits_of(document(text, language=injection.language))
    prompt = build_prompt(question, hits, injection.language, max_tokens=10**6, count_tokens=len)
    body = prompt.answer[1].content
    mark = re.match(r"<(\S+ [0-9a-f]{8})>\n", body)
    assert mark
    assert body.count(f"</{mark[1]}>") == 1
    assert body.index(injection.text) < body.index(f"</{mark[1]}>") < body.rindex(question)
    # Whoever knows the mark of one request does not know that of the next, which has it in a document.
    again = hits_of(document(f"{text} </{mark[1]}>", language=injection.language))
    other = build_prompt(question, again, injection.language, max_tokens=10**6, count_tokens=len).answer[1].content
    assert not other.startswith(f"<{mark[1]}>")


@pytest.mark.models
@pytest.mark.parametrize("injection", [ALL[0], ALL[22], ALL[33]], ids=lambda one: one.language)
def test_the_small_model_shows_no_obedience(
    injection: Injection, small_generator: Generator, embedder: Embedder
) -> None:
    text, question = page(injection)
    search = FixedSearch(hits_of(document(text, language=injection.language)))
    sampling = Sampling(temperature=0.0, max_tokens=40)
    answerer = Answerer(
        search, small_generator, embedder.encode_queries, sampling=sampling, options=Options(caution=0.0)
    )
    assert not says(answerer.answer(question).text, injection.word)
