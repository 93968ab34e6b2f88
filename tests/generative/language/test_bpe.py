import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

from generative.language.bpe import PIECES, BytePairTokeniser, TokeniserError, pieces, train_bpe

TEXT = (
    "En el principio crió Dios los cielos y la tierra. Y la tierra estaba desordenada y vacía, y las tinieblas "
    "estaban sobre la haz del abismo. O coração não envelhece; the heart doesn't grow old: 1234 años, 12,5 %.\n"
) * 3
TOKENISER = train_bpe([TEXT], 400, special=("<end>", "<fin>"))
# The letters of our languages: elsewhere Python and the library differ in what they count as a letter.
WRITTEN = st.text(st.sampled_from("abcdefz ABC áéíóúüñçãõâêô¿¡?!.,;:'\"()-_0123456789 \n\t€…🙂"), max_size=60)


def unicode_of_bytes() -> dict[int, str]:
    """The characters by which the tokenizers library writes bytes down (Radford et al. 2019)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [value for value in range(256) if value not in shown]
    return {value: chr(value) for value in shown} | {value: chr(256 + place) for place, value in enumerate(hidden)}


def library_tokeniser(ours: BytePairTokeniser) -> Tokenizer:
    letters = unicode_of_bytes()
    written = ["".join(letters[byte] for byte in ours.spell(token)) for token in range(256 + len(ours.merges))]
    merges = [(written[left], written[right]) for left, right in ours.merges]
    theirs = Tokenizer(BPE(vocab={text: token for token, text in enumerate(written)}, merges=merges))
    split = Split(Regex(PIECES.pattern), "isolated")
    theirs.pre_tokenizer = Sequence([split, ByteLevel(add_prefix_space=False, use_regex=False)])
    theirs.decoder = ByteLevelDecoder()
    return theirs


THEIRS = library_tokeniser(TOKENISER)


@given(st.binary(max_size=80))
def test_any_bytes_come_back(data: bytes) -> None:
    assert TOKENISER.decode_bytes(TOKENISER.encode(data)) == data


@given(st.text(max_size=80).filter(lambda text: text.isprintable()))
def test_any_text_comes_back(text: str) -> None:
    assert TOKENISER.decode(TOKENISER.encode(text)) == text


@given(st.binary(max_size=80))
def test_pieces_are_the_text(data: bytes) -> None:
    assert b"".join(pieces(data)) == data


@given(WRITTEN)
def test_numbers_are_those_of_the_tokenizers_library(text: str) -> None:
    assert TOKENISER.encode(text) == THEIRS.encode(text).ids


def test_merges_shorten_a_text() -> None:
    assert len(TOKENISER.encode(TEXT)) < len(TEXT.encode()) / 3


def test_the_most_frequent_pair_is_merged_first_and_counts_stay_true() -> None:
    # ab comes 4 times; then "ab"+"ab" twice, as does "ab"+"c".
    learnt = train_bpe(["abab ababc abc"], 256 + 3)
    first = (ord("a"), ord("b"))
    assert learnt.merges[0] == first
    assert learnt.merges[1] == (32, 256)  # the space before ab: 2, with the lower numbers than (256, 99) and (256, 256)
    assert learnt.merges == slow_merges("abab ababc abc", 3)


@given(st.text("abc ", max_size=60))
def test_learns_what_counting_everything_anew_learns(text: str) -> None:
    assert train_bpe([text], 256 + 6).merges == slow_merges(text, 6)


def slow_merges(text: str, wanted: int) -> tuple[tuple[int, int], ...]:
    """Algorithm 1 as the paper has it: count all pairs, merge the most frequent, and again."""
    words = [list(piece) for piece in pieces(text.encode())]
    merges: list[tuple[int, int]] = []
    while len(merges) < wanted:
        counts: dict[tuple[int, int], int] = {}
        for word in words:
            for pair in pairwise(word):
                counts[pair] = counts.get(pair, 0) + 1
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        for word in words:
            place = 0
            while place < len(word) - 1:
                if (word[place], word[place + 1]) == best:
                    word[place : place + 2] = [256 + len(merges)]
                place += 1
        merges.append(best)
    return tuple(merges)


def test_text_does_not_turn_into_special_tokens_unless_allowed() -> None:
    plain, allowed = TOKENISER.encode("la <end>"), TOKENISER.encode("la <end>", allow_special=True)
    assert TOKENISER.token("<end>") not in plain
    assert allowed[-1] == TOKENISER.token("<end>") == TOKENISER.size - 2
    assert TOKENISER.decode(plain) == TOKENISER.decode(allowed) == "la <end>"


def test_saved_and_read_it_is_the_same(tmp_path: Path) -> None:
    TOKENISER.save(tmp_path / "vocabulary.json")
    assert BytePairTokeniser.load(tmp_path / "vocabulary.json") == TOKENISER


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '{"format": "other", "merges": [], "special": []}',
        '{"format": "fuente-bpe-1", "merges": [[1]], "special": []}',
        '{"format": "fuente-bpe-1", "merges": [["1", 2]], "special": []}',
        '{"format": "fuente-bpe-1", "merges": [[256, 2]], "special": []}',
    ],
)
def test_a_file_with_anything_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(TokeniserError):
        BytePairTokeniser.load(path)


def test_no_number_outside_the_vocabulary_is_spelled() -> None:
    with pytest.raises(TokeniserError, match="0 to 257"):
        BytePairTokeniser((), ("<a>", "<b>")).decode([258])


def test_a_vocabulary_too_small_for_the_bytes_is_refused() -> None:
    with pytest.raises(TokeniserError, match="ask for more"):
        train_bpe(["a"], 256, special=("<end>",))


def test_the_file_is_json_of_merges(tmp_path: Path) -> None:
    TOKENISER.save(tmp_path / "vocabulary.json")
    content = json.loads((tmp_path / "vocabulary.json").read_text(encoding="utf-8"))
    assert [tuple(pair) for pair in content["merges"]] == list(TOKENISER.merges)
