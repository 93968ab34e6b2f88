import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generative.language.ngram import KneserNey, longest_order

TEXT = "el perro y el gato y el ratón corren; la gata y la perra miran. " * 2
LETTERS = sorted(set(TEXT))
IDS = np.array([LETTERS.index(letter) for letter in TEXT])
MODEL = KneserNey.fit(IDS, size=len(LETTERS), order=4)


@given(st.lists(st.integers(0, len(LETTERS) - 1), max_size=6))
def test_probabilities_sum_to_one_after_any_context(context: list[int]) -> None:
    probabilities = MODEL.next(np.array(context, dtype=np.int64))
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)
    assert probabilities.min() > 0


def test_by_hand() -> None:
    # abac abab: pairs ab 3, ba 2 (of which one across), ac 1, ca 1.
    ids = np.array([0, 1, 0, 2, 0, 1, 0, 1])
    model = KneserNey.fit(ids, size=3, order=2)
    # Different pairs: ab, ac, ba, ca. Continuation counts: a 2 (ba, ca), b 1, c 1; n1 = 2, n2 = 1: D = 1/2.
    unigram = np.array([1.5, 0.5, 0.5]) / 4 + 0.5 * 3 / 4 / 3
    assert model.next(np.array([], dtype=np.int64)) == pytest.approx(unigram)
    # Counts of pairs: ab 3, ac 1, ba 2, ca 1; n1 = 2, n2 = 1: D = 1/2. After a: 4 in all, of 2 kinds.
    after_a = np.array([0, 2.5, 0.5]) / 4 + 0.5 * 2 / 4 * unigram
    assert model.next(np.array([0])) == pytest.approx(after_a)


def test_a_text_scores_as_its_tokens_one_by_one() -> None:
    singly = [np.log(MODEL.next(IDS[max(0, place - 3) : place])[IDS[place]]) for place in range(len(IDS))]
    assert MODEL.log_probabilities(IDS) == pytest.approx(singly)


def test_longer_contexts_help() -> None:
    shorter = KneserNey.fit(IDS, size=len(LETTERS), order=1)
    assert MODEL.log_probabilities(IDS).mean() > shorter.log_probabilities(IDS).mean() + 1


@pytest.mark.parametrize(("size", "order"), [(100, 0), (100, 10), (3, 2)])
def test_what_cannot_be_counted_is_refused(size: int, order: int) -> None:
    with pytest.raises(ValueError, match=r"below 2\*\*63|from 0 to 2"):
        KneserNey.fit(IDS, size=size, order=order)


@pytest.mark.parametrize("size", [2, 82, 256, 4096])
def test_the_longest_order_is_the_last_that_can_be_counted(size: int) -> None:
    order = longest_order(size)
    assert size**order < 2**63 <= size ** (order + 1)
