"""A model for natural language inference judges the sentences of an answer."""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models import load_cross_encoder, plan_device, resolve
from rag.answerer import Answerer
from rag.compose import Fuente
from rag.entailment import EntailmentModel
from rag.errors import ConfigurationError
from rag.grounding import Grounder
from tests.rag.conftest import FixedSearch, ScriptedChooser, bag_of_words, document, hits_of, tiny_tokenizer
from tests.rag.test_answerer import FIRST, HITS, QUESTION, SECOND

LABELS = ("entailment", "neutral", "contradiction")
PREMISES = ("dos redes compiten", "el codificador comprime", "")


def saved(folder: Path, labels: Sequence[str]) -> Path:
    """A random classifier of pairs, as transformers saves it."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(5)
    tokenizer = tiny_tokenizer()
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, initializer_range=0.5, id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def loaded(folder: Path) -> Any:
    return load_cross_encoder(resolve(str(folder), folder), plan_device("cpu", role="embedder"))


def test_the_probability_is_that_of_the_label_wherever_it_stands(tmp_path: Path) -> None:
    model = loaded(saved(tmp_path, LABELS))
    by_label: list[NDArray[np.float32]] = []
    for order in permutations(range(3)):
        model.config.id2label = {number: LABELS[place] for number, place in enumerate(order)}
        scores = EntailmentModel(model, name="tiny").scores(PREMISES, "las redes")
        assert (scores.dtype, scores.shape) == (np.float32, (3,))
        by_label.append(scores)
    # Six orders put the label in each of three places twice, and the probabilities of a pair add up to one.
    np.testing.assert_allclose(np.sum(by_label, axis=0), 2.0, atol=1e-5)
    assert len({round(float(scores[0]), 5) for scores in by_label}) == 3


def test_a_batch_judges_each_as_if_alone_and_long_texts_are_cut(tmp_path: Path) -> None:
    judge = EntailmentModel(loaded(saved(tmp_path, LABELS)), name="tiny")
    premises = (*PREMISES, "redes " * 500)
    together = judge.scores(premises, "las redes")
    alone = [float(judge.scores([premise], "las redes")[0]) for premise in premises]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert judge.scores([], "x").shape == (0,)


@pytest.mark.parametrize("labels", [("LABEL_0", "LABEL_1"), ("entailment",), ("not_entailment", "other")])
def test_a_model_that_does_not_tell_entailment_is_refused(labels: Sequence[str], tmp_path: Path) -> None:
    model = loaded(saved(tmp_path, labels))
    with pytest.raises(ConfigurationError, match=rf"tiny has the labels {labels[0]}.*none is entailment"):
        EntailmentModel(model, name="tiny")


class Judge:
    """Finds a sentence entailed by texts in which some words stand."""

    def __init__(self, words: str) -> None:
        self.asked: list[Sequence[str]] = []
        self._words = words

    def scores(self, premises: Sequence[str], sentence: str) -> NDArray[np.float32]:
        self.asked.append(premises)
        return np.array([0.9 if self._words in premise else 0.1 for premise in premises], np.float32)


def test_its_judgement_takes_the_place_of_words_and_vectors() -> None:
    sentence = "El creador de muestras inventa imágenes."  # hardly a word of the passage
    assert Grounder(HITS, bag_of_words).verified(sentence, "es") == ()
    (support,) = Grounder(HITS, bag_of_words, entailment=Judge("muestras falsas")).verified(sentence, "es")
    assert support.score == pytest.approx(0.9)
    assert Grounder(HITS, bag_of_words, entailment=Judge("nothing")).verified(FIRST, "es") == ()


def test_a_number_that_the_passage_does_not_have_passes_no_judge() -> None:
    sentence = "Ian Goodfellow presentó las GAN en 2019."
    assert Grounder(HITS, bag_of_words, entailment=Judge("")).verified(sentence, "es") == ()


def test_it_reads_the_sentence_and_its_neighbours() -> None:
    sentences = ["Uno es rojo.", "Dos es verde.", "Tres es azul.", "Cuatro es gris."]
    judge = Judge("")
    Grounder(hits_of(document(" ".join(sentences))), bag_of_words, entailment=judge).verified(sentences[2], "es")
    assert judge.asked == [[" ".join(sentences[1:])]]


def test_answers_are_judged_by_it() -> None:
    generator = ScriptedChooser([f"{FIRST} {SECOND}"], 10.0)
    judged = Answerer(FixedSearch(HITS), generator, bag_of_words, entailment=Judge("Goodfellow"))
    answer = judged.answer(QUESTION)
    assert [citation.support for citation in answer.citations] == pytest.approx([0.9, 0.9])
    none = Answerer(FixedSearch(HITS), generator, bag_of_words, entailment=Judge("nothing")).answer(QUESTION)
    assert (none.abstained, none.refusal) == (True, "unsupported")


def test_the_configuration_names_it(plain_settings: Path, tiny_models: Path, tmp_path: Path) -> None:
    names = {"embedder": str(tiny_models / "embedder"), "generator": str(tiny_models / "generator"), "device": "cpu"}
    Path("a.txt").write_text("Las redes aprenden pesos.", encoding="utf-8")
    plain = Fuente.configured(models=names)
    plain.ingest(["a.txt"])
    assert plain.answerer.entailment is None
    fuente = Fuente.configured(models={**names, "entailment": str(saved(tmp_path, LABELS))})
    assert isinstance(fuente.answerer.entailment, EntailmentModel)
    assert fuente.answer_settings() != plain.answer_settings()
