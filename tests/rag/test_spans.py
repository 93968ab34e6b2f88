"""A bare answer is a piece of a passage, word for word: the likeliest there is."""

import hashlib
import math
import re
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rag.spans import Piece, PieceSearch, standing_in

LETTERS = "ab ,"
END = len(LETTERS)
TEXTS = st.lists(st.text(LETTERS, min_size=1, max_size=9), min_size=1, max_size=3)


def logs_after(ids: Sequence[int]) -> torch.Tensor:
    """ln P of every token after these, by chance but always the same."""
    seed = int.from_bytes(hashlib.sha256(bytes(ids)).digest()[:4])
    logits = torch.randn(len(LETTERS) + 1, generator=torch.Generator().manual_seed(seed)) * 2
    return torch.log_softmax(logits, dim=-1)


def text_of(ids: Sequence[int]) -> str:
    return "".join(LETTERS[number] for number in ids)


def searched(texts: Sequence[str], width: int) -> list[Piece]:
    search = PieceSearch(texts, text_of, {END}, width=width)
    written: list[list[int]] = [[]]
    while True:
        rows, tokens = search.step(torch.stack([logs_after(ids) for ids in written]))
        if not tokens:
            return search.found
        written = [[*written[row], token] for row, token in zip(rows, tokens, strict=True)]


def all_pieces(texts: Sequence[str]) -> dict[str, float]:
    """Every text from the beginning of a word, or the sign before one, to the end of one, with its ln P."""
    found: dict[str, float] = {}
    for text in texts:
        for start in (start for start, letter in enumerate(text) if letter in "ab"):
            for end in range(start + 1, len(text) + 1):
                begins = start == 0 or text[start - 1] not in "ab"
                ends = text[end - 1] == "," or (text[end - 1] in "ab" and text[end : end + 1] not in ("a", "b"))
                if begins and ends:
                    ids = [LETTERS.index(letter) for letter in text[start:end]]
                    logs = [logs_after(ids[:place])[token] for place, token in enumerate([*ids, END])]
                    found[text[start:end]] = float(sum(logs))
    return found


@given(TEXTS)
def test_a_search_as_wide_as_there_are_pieces_finds_the_likeliest(texts: list[str]) -> None:
    pieces = all_pieces(texts)
    found = searched(texts, width=40)
    if not found:
        assert not pieces
        return
    best = found[0]
    assert best.log_likelihood == pytest.approx(max(pieces.values()), abs=1e-4)
    assert pieces[texts[best.text][best.start : best.end]] == pytest.approx(best.log_likelihood, abs=1e-4)


@given(TEXTS, st.integers(1, 4))
def test_whatever_is_found_is_a_piece_with_its_own_likelihood(texts: list[str], width: int) -> None:
    found = searched(texts, width)
    assert found == sorted(found, key=lambda piece: -piece.log_likelihood)
    for piece in found:
        likelihood = all_pieces(texts)[texts[piece.text][piece.start : piece.end]]
        assert likelihood == pytest.approx(piece.log_likelihood, abs=1e-4)


def test_a_piece_ends_within_the_given_number_of_tokens() -> None:
    search = PieceSearch(["a b a b"], text_of, {END}, max_tokens=1)
    rows, _ = search.step(logs_after([])[None])
    assert search.step(torch.stack([logs_after([0]) for _ in rows])) == ([], [])
    assert search.found
    assert all(piece.end - piece.start == 1 for piece in search.found)


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("1823.", "1823"),
        (" «augustin  fresnel» ", "Augustin Fresnel"),
        ("182", None),
        ("(a+b", "(a+b"),
        ("", None),
        ("...", None),
        ("otra cosa", None),
    ],
)
def test_a_reply_stands_in_a_text_whatever_its_case_and_the_signs_around_it(reply: str, found: str | None) -> None:
    texts = ["Nada.", "La lámpara es de 1823, de Augustin\nFresnel (a+b)."]
    piece = standing_in(texts, reply)
    assert (piece and re.sub(r"\s+", " ", texts[piece.text][piece.start : piece.end])) == found
    assert piece is None or math.isclose(piece.log_likelihood, 0.0)


@pytest.mark.parametrize(("text", "reply"), [("sube un 20 % al año", "20%"), ("sube un 20% al año", "20 %")])
def test_a_percent_sign_stands_with_or_without_a_space(text: str, reply: str) -> None:
    piece = standing_in([text], reply)
    assert piece is not None
    assert text[piece.start : piece.end].replace(" ", "") == "20%"
