"""Texts become unit vectors."""

import numpy as np
import pytest

from index.embedder import Embedder, prefixes_of
from tests.index.library import DIMENSION, HashedModel


def embedder(model: HashedModel, **changes: str) -> Embedder:
    options = {"name": "hashed", "query_prefix": "q: ", "passage_prefix": "p: ", **changes}
    return Embedder(model, **options)  # type: ignore[arg-type]


def test_prefixes_are_applied_once_and_vectors_have_unit_length() -> None:
    model = HashedModel()
    ours = embedder(model)
    queries, passages = ours.encode_queries(["gato"]), ours.encode_passages(["gato", "perro"])
    assert model.encoded == ["q: gato", "p: gato", "p: perro"]
    assert passages.shape == (2, DIMENSION)
    assert passages.dtype == queries.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(passages, axis=1), 1.0, rtol=1e-6)


def test_langchain_gets_the_same_vectors() -> None:
    ours = embedder(HashedModel())
    assert ours.embed_query("gato") == ours.encode_queries(["gato"])[0].tolist()
    assert ours.embed_documents(["gato"]) == ours.encode_passages(["gato"]).tolist()


def test_nothing_has_no_vectors() -> None:
    assert embedder(HashedModel()).encode_passages([]).shape == (0, DIMENSION)


def test_the_key_of_a_vector_depends_on_all_that_decides_it() -> None:
    key = embedder(HashedModel()).vector_key("gato")
    others = {
        embedder(HashedModel()).vector_key("gata"),
        embedder(HashedModel(8)).vector_key("gato"),
        embedder(HashedModel(), name="other").vector_key("gato"),
        embedder(HashedModel(), revision="2").vector_key("gato"),
        embedder(HashedModel(), passage_prefix="x: ").vector_key("gato"),
    }
    assert len(key) == 32
    assert len(others | {key}) == 6
    assert embedder(HashedModel(), query_prefix="x: ").vector_key("gato") == key


@pytest.mark.parametrize(
    ("name", "prefixes"),
    [
        ("multilingual-e5-small", ("query: ", "passage: ")),
        ("intfloat/E5_base", ("query: ", "passage: ")),
        ("all-minilm-l6-v2", ("", "")),
        ("some-base5x", ("", "")),
    ],
)
def test_prefixes_follow_the_family_in_the_name(name: str, prefixes: tuple[str, str]) -> None:
    assert prefixes_of(name) == prefixes


def test_tokens_are_counted_by_the_model() -> None:
    assert embedder(HashedModel()).token_counter().counts(["uno dos tres"]) == [3]
