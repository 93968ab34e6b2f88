"""Counting and splitting by tokens."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import Unigram, WordLevel
from tokenizers.pre_tokenizers import Metaspace, Whitespace

from ingest.tokens import TokenCounter


def words() -> Tokenizer:
    """One token a word or mark."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


def letters() -> Tokenizer:
    """Short pieces of words, as sentencepiece makes them; runs of unknown characters are one token."""
    known = [("<unk>", -10.0), ("▁", -2.0), *((letter, -3.0) for letter in "abcdefgh"), ("▁ab", -2.5), ("cde", -4.0)]
    tokenizer = Tokenizer(Unigram(known, unk_id=0))
    tokenizer.pre_tokenizer = Metaspace()
    return tokenizer


TOKENIZERS = [pytest.param(words(), id="words"), pytest.param(letters(), id="letters")]


def test_counts_are_those_of_the_tokenizer_without_special_tokens() -> None:
    assert TokenCounter(words()).counts(["uno dos, tres", "", "cuatro"]) == [4, 0, 1]
    assert TokenCounter(words()).counts([]) == []


def test_more_texts_than_one_batch_are_counted_in_order() -> None:
    texts = ["x " * (number % 7) for number in range(5000)]
    assert TokenCounter(words()).counts(texts) == [number % 7 for number in range(5000)]


def test_the_counter_leaves_the_given_tokenizer_alone_and_does_not_truncate() -> None:
    tokenizer = words()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=10)
    assert TokenCounter(tokenizer).counts(["a b c d e"]) == [5]
    assert len(tokenizer.encode("a b c d e")) == 10
    assert tokenizer.truncation is not None


def test_a_saved_tokenizer_counts_alike(tmp_path: Path) -> None:
    letters().save(str(tmp_path / "tokenizer.json"))
    text = ["ab cde zzz"]
    assert TokenCounter.from_file(tmp_path / "tokenizer.json").counts(text) == TokenCounter(letters()).counts(text)


def test_a_tokenizer_is_loaded_by_the_first_count_and_once() -> None:
    loaded: list[Tokenizer] = []

    def load() -> Tokenizer:
        loaded.append(words())
        return loaded[-1]

    counter = TokenCounter(load)
    assert loaded == []
    assert [counter.counts(["uno dos"]), counter.counts(["uno"])] == [[2], [1]]
    assert len(loaded) == 1


def test_splits_lie_between_words() -> None:
    text = "uno dos tres cuatro cinco seis siete"
    parts = [text[span.start : span.end].strip() for span in TokenCounter(words()).split(text, 3)]
    assert parts == ["uno dos tres", "cuatro cinco seis", "siete"]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@given(text=st.text(alphabet=st.sampled_from("abcdefgh .,zñ€"), max_size=120), max_tokens=st.integers(2, 9))
def test_splits_cover_the_text_and_keep_to_the_limit(tokenizer: Tokenizer, text: str, max_tokens: int) -> None:
    counter = TokenCounter(tokenizer)
    spans = counter.split(text, max_tokens)
    assert "".join(text[span.start : span.end] for span in spans) == text
    for span in spans:
        assert counter.counts([text[span.start : span.end]])[0] <= max_tokens or span.end - span.start == 1


@pytest.mark.models
def test_the_embedders_tokenizer_counts_without_prefix_and_splits_exactly(fuente_cache: Path) -> None:
    path = fuente_cache / "models/multilingual-e5-small" / "tokenizer.json"
    if not path.exists():
        pytest.skip(f"{path} is not prepared")
    counter = TokenCounter.from_file(path)
    assert counter.counts(["hola", ""]) == [len(Tokenizer.from_file(str(path)).encode("hola").ids) - 2, 0]
    for text in (
        "La educación pública es gratuita. " * 200,
        "x" * 5000,
        "ﷺ" * 50,
        "日本語の文章" * 300,
        "\ue000" * 900,
    ):
        spans = counter.split(text, 32)
        assert "".join(text[span.start : span.end] for span in spans) == text
        assert max(counter.counts([text[span.start : span.end] for span in spans])) <= 32
