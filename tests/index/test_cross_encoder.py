"""A model that reads question and passage together."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.cross_encoder import CrossEncoderReranker
from index.errors import RerankError
from index.rerank import Candidate
from models import load_cross_encoder, plan_device, resolve
from tests.rag.conftest import tiny_tokenizer


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Random cross-encoders with one label and with three, as transformers saves them."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(5)
    found = {}
    for labels in (1, 3):
        folder = tmp_path_factory.mktemp(f"cross{labels}")
        tokenizer = tiny_tokenizer()
        tokenizer.model_max_length = 64
        tokenizer.save_pretrained(folder)
        config = BertConfig(
            vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=64, num_labels=labels, initializer_range=0.5,
        )  # fmt: skip
        BertForSequenceClassification(config).save_pretrained(folder)
        found[labels] = folder
    return found


def loaded(folder: Path) -> Any:
    return load_cross_encoder(resolve(str(folder), folder), plan_device("cpu", role="embedder"))


@pytest.fixture(scope="module")
def model(folders: dict[int, Path]) -> Any:
    return loaded(folders[1])


def candidates(*texts: str) -> list[Candidate]:
    return [Candidate(text, 0.5, 0.5) for text in texts]


def test_scores_are_those_of_the_model(model: Any) -> None:
    texts = ["dos redes", "um codificador que comprime", "", "redes"]
    found = CrossEncoderReranker(model, name="tiny").scores("¿Qué redes?", candidates(*texts))
    expected = [model.predict([("¿Qué redes?", text)], show_progress_bar=False)[0] for text in texts]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (found.dtype, len(set(found.tolist()))) == (np.float32, 4)


def test_a_long_passage_scores_as_its_best_piece(model: Any) -> None:
    reranker = CrossEncoderReranker(model, name="tiny")
    text = " ".join(f"palabra{n} redes" for n in range(80))
    pieces = reranker._pieces("¿Qué redes?", text)
    assert len(pieces) > 3
    assert pieces[0] == text[: len(pieces[0])]
    assert text.endswith(pieces[-1])
    for piece, following in pairwise(pieces):
        assert text.index(following) <= text.index(piece) + len(piece)
    for piece in pieces:
        assert len(model.tokenizer("¿Qué redes?", piece)["input_ids"]) <= 64
    found = reranker.scores("¿Qué redes?", candidates("corto", text))
    best = max(reranker.scores("¿Qué redes?", candidates(*pieces)))
    assert found[1] == pytest.approx(best, abs=1e-5)


def test_a_question_longer_than_the_model_reads_leaves_room(model: Any) -> None:
    found = CrossEncoderReranker(model, name="tiny").scores("redes " * 100, candidates("dos", "tres redes " * 60))
    assert np.isfinite(found).all()


def test_no_candidates_have_no_scores(model: Any) -> None:
    assert CrossEncoderReranker(model, name="tiny").scores("¿Qué?", []).shape == (0,)


def test_a_classifier_is_refused(folders: dict[int, Path]) -> None:
    with pytest.raises(RerankError, match="3 scores"):
        CrossEncoderReranker(loaded(folders[3]), name="tiny")
