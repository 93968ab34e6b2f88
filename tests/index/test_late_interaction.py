"""Tokens of the question meet those of the passages."""

from contextlib import nullcontext

import numpy as np
import pytest

from index.embedder import Embedder
from index.errors import RerankError
from index.late_interaction import LateInteraction
from index.rerank import Candidate, Scores
from tests.index.library import HashedModel
from tests.rag.conftest import tiny_tokenizer

TEXTS = (
    "Las redes aprenden de dos redes que compiten.",
    "O codificador comprime os dados num espaço latente.",
    "The decoder writes one token after another and the encoder reads them all. " * 4,
    "compiten dos redes",
)
QUESTION = "¿Qué redes compiten?"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """A BERT of three layers with random weights: equal words in equal surroundings have like states."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel

    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = tiny_tokenizer()
    tokenizer.model_max_length = 64
    tokenizer.chat_template = None  # an embedder with one would write turns around its texts
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    model = SentenceTransformer(modules=[Transformer(str(folder)), Pooling(32)])
    return Embedder(model, name="tiny", query_prefix="q: ", passage_prefix="p: ")


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """All bits, also where the hardware would be faster with half of them."""
    monkeypatch.setattr("index.token_states._half", lambda device: nullcontext())


def candidates(*texts: str) -> list[Candidate]:
    return [Candidate(text, cosine=0.5, coverage=0.0) for text in texts]


def scores(embedder: Embedder, question: str, *texts: str) -> Scores:
    return LateInteraction(embedder).scores(question, candidates(*texts))


@pytest.mark.usefixtures("exact")
def test_states_of_many_are_those_of_each(tiny: Embedder) -> None:
    texts = [*TEXTS, *(f"{text} {n}" for n, text in enumerate(TEXTS * 5))]
    together = tiny.passage_states(texts, (0.5, 1.0))
    for text, states in zip(texts, together, strict=True):
        (alone,) = tiny.passage_states([text], (0.5, 1.0))
        np.testing.assert_array_equal(states.ids, alone.ids)
        np.testing.assert_allclose(states.layers, alone.layers, atol=1e-5)
        assert states.layers.shape == (2, len(states.ids), 32)


def test_half_the_bits_give_nearly_the_same_states(tiny: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr("index.token_states._half", lambda device: torch.autocast("cpu", torch.bfloat16))
    half = tiny.passage_states(TEXTS, (1.0,))
    monkeypatch.setattr("index.token_states._half", lambda device: nullcontext())
    for rough, exactly in zip(half, tiny.passage_states(TEXTS, (1.0,)), strict=True):
        products = (rough.layers * exactly.layers).sum(axis=-1)
        norms = np.linalg.norm(rough.layers, axis=-1) * np.linalg.norm(exactly.layers, axis=-1)
        assert (products / norms).min() > 0.99


@pytest.mark.usefixtures("exact")
def test_the_last_layer_is_what_is_pooled(tiny: Embedder) -> None:
    """The states of the whole text, prefix included, add up to its vector; ours are those without the prefix."""
    bare = Embedder(tiny._model(), name="tiny")
    for text in TEXTS[:2]:
        (states,) = bare.passage_states([text], (1.0,))
        pooled = states.layers[0].sum(axis=0)
        vector = bare.encode_passages([text])[0]
        np.testing.assert_allclose(pooled / np.linalg.norm(pooled), vector, atol=1e-5)


def test_the_prefix_and_special_tokens_are_left_out(tiny: Embedder) -> None:
    (asked,), (read,) = tiny.query_states(["redes, dos"], (1.0,)), tiny.passage_states(["redes, dos"], (1.0,))
    np.testing.assert_array_equal(asked.ids, read.ids)
    text = tiny._model().tokenizer.decode(asked.ids)
    assert text.strip() == "redes, dos"
    marks = [tiny._model().tokenizer.decode([token]).strip() for token in asked.ids[~asked.words]]
    assert marks == [","]


def test_scores_do_not_depend_on_the_order(tiny: Embedder) -> None:
    expected = scores(tiny, QUESTION, *TEXTS)
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(TEXTS))
        found = scores(tiny, QUESTION, *(TEXTS[place] for place in order))
        np.testing.assert_array_equal(found, expected[order])


def test_what_is_remembered_scores_alike(tiny: Embedder) -> None:
    reranker = LateInteraction(tiny)
    first = reranker.scores(QUESTION, candidates(*TEXTS))
    np.testing.assert_array_equal(reranker.scores(QUESTION, candidates(*TEXTS)), first)
    for start in range(0, 160, 20):
        reranker.scores("otra", candidates(*(f"texto {n}" for n in range(start, start + 20))))
    assert len(reranker._known) <= 128
    np.testing.assert_array_equal(reranker.scores(QUESTION, candidates(*TEXTS)), first)


def test_the_passage_that_is_the_question_is_best(tiny: Embedder) -> None:
    """Random states say little of meaning, but equal tokens at equal places are equal."""
    found = scores(tiny, QUESTION, *TEXTS, QUESTION)
    assert found.dtype == np.float32
    assert found.argmax() == len(TEXTS)


def test_the_first_stage_still_counts(tiny: Embedder) -> None:
    same = [Candidate("dos redes", 0.5, 0.0), Candidate("dos redes", 0.5, 1.0), Candidate("dos redes", 0.9, 0.0)]
    found = LateInteraction(tiny).scores(QUESTION, same)
    assert found[0] < found[2] < found[1]


def test_the_end_of_a_long_passage_is_read(tiny: Embedder) -> None:
    filling = "The decoder writes one token after another. " * 40
    (states,) = tiny.passage_states([filling + QUESTION], (1.0,))
    assert len(states.ids) > 5 * 64
    with_it, without = scores(tiny, QUESTION, filling + QUESTION, filling)
    assert with_it > without + 0.05


@pytest.mark.parametrize("question", ["", "¿?", " "])
def test_a_question_without_words_is_scored(tiny: Embedder, question: str) -> None:
    found = scores(tiny, question, *TEXTS)
    assert found.shape == (4,)
    assert np.isfinite(found).all()


def test_nothing_is_scored_as_nothing(tiny: Embedder) -> None:
    assert scores(tiny, QUESTION).shape == (0,)
    assert scores(tiny, QUESTION, "").tolist() == [0.0]
    found = scores(tiny, QUESTION, "", TEXTS[0], "\n")
    assert np.isfinite(found).all()
    assert found.argmax() == 1


def test_a_model_without_tokens_is_refused() -> None:
    hashed = Embedder(HashedModel(), name="hashed")  # type: ignore[arg-type]
    assert not hashed.has_token_states
    with pytest.raises(RerankError, match=r"retrieval\.rerank"):
        scores(hashed, QUESTION, *TEXTS)


def test_a_transformer_has_tokens(tiny: Embedder) -> None:
    assert tiny.has_token_states
