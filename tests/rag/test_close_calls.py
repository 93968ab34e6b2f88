"""A generator settles what the first comparison leaves close."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from index.late_interaction import LateInteraction
from index.rerank import Candidate, Scores
from rag.close_calls import CloseCalls
from rag.compose import Fuente
from rag.config import load_config
from rag.errors import ConfigurationError, PromptTooLongError
from rag.generator import Likelihood
from rag.transformers_generator import TransformersGenerator
from tests.rag.conftest import END, ScriptedGenerator, tiny_causal_lm, tiny_tokenizer


class First:
    """Gives the cosine as score."""

    def scores(self, question: str, candidates: Sequence[Candidate]) -> Scores:
        return np.array([candidate.cosine for candidate in candidates], np.float32)


class Scripted:
    """Finds what the texts begin with as likely as is written there."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], str]] = []

    def log_likelihoods(self, texts: Sequence[str], continuation: str) -> list[float]:
        self.asked.append((list(texts), continuation))
        return [float(text.split()[0]) for text in texts]


def settled(question: str, *candidates: tuple[str, float]) -> tuple[list[float], Scripted]:
    generator = Scripted()
    given = [Candidate(text, score, 0.0) for text, score in candidates]
    scores = CloseCalls(First(), lambda: generator).scores(question, given)
    return [round(float(score), 4) for score in scores], generator


def test_close_ones_change_places_and_the_rest_stays() -> None:
    scores, generator = settled("¿Quién?", ("-4 a", 0.90), ("-9 z", 0.50), ("-2 b", 0.88), ("-1 c", 0.80))
    assert scores == [0.88, 0.5, 0.9, 0.8]
    ((texts, continuation),) = generator.asked
    assert texts == [f"{text}\n\nPregunta que este texto responde:" for text in ("-4 a", "-2 b")]
    assert continuation == " ¿Quién?"


def test_the_first_comparison_still_counts() -> None:
    scores, _ = settled("Who?", ("-2.5 a", 0.90), ("-2.0 b", 0.83))
    assert scores == [0.9, 0.83]


def test_what_is_clear_is_not_asked() -> None:
    scores, generator = settled("¿Quién?", ("-4 a", 0.90), ("-1 b", 0.80))
    assert (scores, generator.asked) == ([0.9, 0.8], [])


def test_the_two_best_are_asked_and_no_other() -> None:
    scores, generator = settled("Who?", *((f"-{9 - n} t", 0.9 - n / 1000) for n in range(9)))
    assert [text[0:2] for text in generator.asked[0][0]] == ["-9", "-8"]
    assert scores[:3] == [0.899, 0.9, 0.898]


@pytest.mark.parametrize("question", ["", "  "])
def test_an_empty_question_is_not_asked(question: str) -> None:
    scores, generator = settled(question, ("-4 a", 0.90), ("-1 b", 0.90))
    assert (scores, generator.asked) == ([0.9, 0.9], [])


def test_the_generator_is_loaded_by_the_first_close_call() -> None:
    loaded: list[int] = []

    def load() -> Scripted:
        loaded.append(1)
        return Scripted()

    reranker = CloseCalls(First(), load)
    assert reranker.scores("¿Quién?", []).shape == (0,)
    reranker.scores("¿Quién?", [Candidate("-1 a", 0.9, 0.0), Candidate("-1 b", 0.1, 0.0)])
    assert not loaded
    for _ in range(2):
        reranker.scores("¿Quién?", [Candidate("-1 a", 0.9, 0.0), Candidate("-1 b", 0.9, 0.0)])
    assert loaded == [1]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny_tokenizer()


@pytest.fixture(scope="module")
def generator(tokenizer: Any) -> TransformersGenerator:
    model = tiny_causal_lm(len(tokenizer), tokenizer.convert_tokens_to_ids(END), max_position_embeddings=128)
    return TransformersGenerator(model, tokenizer, name="tiny")


TEXTS = ("Las redes compiten.", "O codificador comprime os dados num espaço latente.", "", "redes " * 12)


def test_a_batch_is_as_likely_as_each(generator: TransformersGenerator, tokenizer: Any) -> None:
    assert isinstance(generator, Likelihood)
    end = tokenizer(" ¿Qué redes?", add_special_tokens=False)["input_ids"]
    found = generator.log_likelihoods(TEXTS, " ¿Qué redes?")
    for text, mean in zip(TEXTS, found, strict=True):
        start = tokenizer(text, add_special_tokens=False)["input_ids"] or [tokenizer.eos_token_id]
        with torch.inference_mode():
            logits = generator._model(input_ids=torch.tensor([start + end])).logits[0, len(start) - 1 : -1]
        logs = torch.log_softmax(logits, -1)[torch.arange(len(end)), torch.tensor(end)]
        assert mean == pytest.approx(float(logs.mean()), abs=1e-4)
    assert len({round(mean, 3) for mean in found}) == len(TEXTS)


def test_likelihoods_leave_the_cache_alone(generator: TransformersGenerator) -> None:
    generator._prefill([5, 6, 7])
    before = list(generator._caches.ids)
    generator.log_likelihoods(TEXTS, " dos")
    assert generator._caches.ids == before == [5, 6, 7]


def test_a_text_too_long_loses_its_beginning(generator: TransformersGenerator) -> None:
    long = "O codificador comprime. " * 60 + "Las redes compiten."
    (cut,) = generator.log_likelihoods([long], " dos")
    (other,) = generator.log_likelihoods(["Otra cosa. " + long], " dos")
    assert cut == pytest.approx(other, abs=1e-5)
    with pytest.raises(PromptTooLongError, match="128"):
        generator.log_likelihoods(["a"], " dos redes" * 100)


def test_nothing_is_neither_likely_nor_not(generator: TransformersGenerator) -> None:
    assert generator.log_likelihoods([], " dos") == []
    assert generator.log_likelihoods(["a", "b"], "") == [0.0, 0.0]


@pytest.mark.usefixtures("plain_settings")
class TestConfiguration:
    """`retrieval.rerank` names the second stage."""

    def reranker(self, models: Any, wanted: str) -> Any:
        chosen = {"embedder": str(models / "embedder"), "generator": str(models / "generator")}
        return Fuente.configured(models=chosen, retrieval={"rerank": wanted})._reranker()

    def test_none_is_none(self, tiny_models: Any) -> None:
        assert self.reranker(tiny_models, "none") is None

    @pytest.mark.parametrize("wanted", ["auto", "late"])
    def test_late_interaction_is_the_default(self, tiny_models: Any, wanted: str) -> None:
        assert isinstance(self.reranker(tiny_models, wanted), LateInteraction)
        assert load_config().retrieval.rerank == "auto"

    def test_likelihood_asks_the_local_generator(self, tiny_models: Any) -> None:
        found = self.reranker(tiny_models, "likelihood")
        assert isinstance(found, CloseCalls)
        close = [Candidate("dos redes", 0.5, 0.5), Candidate("dos redes", 0.5, 0.5)]
        assert np.isfinite(found.scores("¿Qué redes?", close)).all()

    def test_another_model_than_the_generator_can_be_asked(self, tiny_models: Any) -> None:
        chosen = {
            "embedder": str(tiny_models / "embedder"),
            "generator": "none",
            "reranker": str(tiny_models / "generator"),
        }
        fuente = Fuente.configured(models=chosen, retrieval={"rerank": "likelihood"})
        assert fuente._likelihood().log_likelihoods(["redes"], " dos")[0] < 0
        assert "generator" not in vars(fuente)

    def test_what_is_asked_has_to_be_prepared(self) -> None:
        small = "qwen2.5-coder-0.5b-instruct"
        for rerank in ("likelihood", "late"):
            fuente = Fuente.configured(models={"reranker": small}, retrieval={"rerank": rerank})
            assert (small in fuente.required_models()) == (rerank == "likelihood")

    def test_a_generator_without_likelihoods_is_refused(self, tiny_models: Any) -> None:
        fuente = Fuente.configured(models={"embedder": str(tiny_models / "embedder")})
        vars(fuente)["generator"] = ScriptedGenerator(["a"])  # where the property keeps what it built
        with pytest.raises(ConfigurationError, match="scripted"):
            fuente._likelihood()
