"""Texts become unit vectors."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from index.embedder import Embedder, prefixes_of
from models.deferred import DeferredEmbedder
from models.errors import DimensionError
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


def test_a_question_that_is_no_unicode_is_read_all_the_same() -> None:
    model = HashedModel()
    embedder(model).encode_queries([b"caf\xe9 \xf1".decode("utf-8", "surrogateescape"), "añil"])
    assert model.encoded == ["q: caf? ?", "q: añil"]


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


class Loader:
    """Loads a model and counts how often."""

    def __init__(self, dimension: int = DIMENSION) -> None:
        self.model = HashedModel(dimension)
        self.calls = 0

    def __call__(self) -> HashedModel:
        self.calls += 1
        return self.model


def test_a_deferred_model_is_loaded_by_the_first_text_and_once() -> None:
    load = Loader()
    ours = Embedder(DeferredEmbedder(load, DIMENSION), name="hashed")
    ours.vector_key("gato")
    assert (ours.dimension, ours.encode_queries([]).shape, load.calls) == (DIMENSION, (0, DIMENSION), 0)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ours.embed_query, ["gato"] * 16))
    assert found == [Embedder(HashedModel(), name="hashed").embed_query("gato")] * 16  # type: ignore[arg-type]
    ours.load()
    assert load.calls == 1


def test_a_deferred_model_that_does_not_tell_its_dimension_is_loaded_at_once() -> None:
    load = Loader(8)
    assert Embedder(DeferredEmbedder(load), name="hashed").dimension == 8
    assert load.calls == 1


def test_a_loaded_model_must_be_what_its_files_say() -> None:
    ours = Embedder(DeferredEmbedder(Loader(8), DIMENSION), name="hashed")
    for _ in range(2):
        with pytest.raises(DimensionError, match=f"hashed: its files state vectors of {DIMENSION} .* gives 8"):
            ours.encode_passages(["gato"])


def test_tokens_are_counted_without_the_model_where_its_tokenizer_can_be_loaded() -> None:
    load = Loader()
    deferred = DeferredEmbedder(load, DIMENSION, lambda: HashedModel().tokenizer.backend_tokenizer)
    assert Embedder(deferred, name="hashed").token_counter().counts(["uno dos"]) == [2]
    assert load.calls == 0
    counter = Embedder(DeferredEmbedder(load, DIMENSION), name="hashed").token_counter()
    assert load.calls == 0
    load.model.tokenizer.backend_tokenizer.enable_truncation(1)
    assert counter.counts(["uno dos"]) == [2]
    assert load.model.tokenizer.backend_tokenizer.truncation is not None
