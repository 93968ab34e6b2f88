"""Pointing at the source: copies, translations that were counted, and the two mixed with what is written anew."""

import random
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from generative.language.alignment import likeliest, translations
from generative.language.attention import rotation
from generative.language.bpe import train_bpe
from generative.language.pairs import SPECIAL, Pairs
from generative.language.pointer import Pointer, Source, Stands
from generative.language.transformer import TransformerShape
from generative.language.translator import Translator, TranslatorConfig
from generative.training import Training

SIZE, WIDTH, HEAD, PAD = 12, 16, 8, 11
IDS = torch.tensor([[1, 2, 3, 10], [4, 5, 10, PAD]])
TARGETS = torch.tensor([[2, 1, 6, 10, PAD], [7, 8, 9, 9, 10]])


def pointer(stands: Stands, seed: int = 0) -> Pointer:
    made, generator = Pointer(SIZE, WIDTH, HEAD, stands), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(generator=generator)
    return made


def source(seed: int = 0) -> Source:
    states = torch.randn(2, 4, WIDTH, generator=torch.Generator().manual_seed(seed))
    return Source(IDS, states, (IDS != PAD)[:, None, None, :], rotation(torch.arange(4), HEAD))


@pytest.mark.parametrize("stands", ["itself", "translations"])
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_the_mixture_is_a_distribution(stands: Stands, seed: int) -> None:
    made, generator = pointer(stands, seed), torch.Generator().manual_seed(seed)
    made.learn(IDS, TARGETS, PAD)
    logits, states = torch.randn(2, 3, SIZE, generator=generator), torch.randn(2, 3, WIDTH, generator=generator)
    mixed = made(logits, states, source(seed), rotation(torch.arange(3), HEAD))
    torch.testing.assert_close(mixed.exp().sum(-1), torch.ones(2, 3))


def test_a_pointer_at_one_place_copies_it_and_never_padding() -> None:
    made = pointer("itself")
    copied = made.read_off(torch.eye(4)[None].repeat(2, 1, 1), IDS)
    assert copied.argmax(-1).tolist() == IDS.tolist()
    weights = made.weights(torch.randn(2, 3, WIDTH), source(), rotation(torch.arange(3), HEAD))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))
    assert (weights[1, :, 3] == 0).all()


def test_pointing_everywhere_alike_is_model_1() -> None:
    made, table = pointer("translations"), translations(IDS, TARGETS, SIZE, PAD)
    made.learn(IDS, TARGETS, PAD)
    alike = torch.full((1, 1, 4), 1 / 4)
    torch.testing.assert_close(made.read_off(alike, IDS[:1])[0, 0], table[IDS[0]].mean(0), atol=1e-5, rtol=0)


def test_gradients_reach_the_gate_the_pointer_and_the_source() -> None:
    made, read = pointer("translations"), source()
    made.learn(IDS, TARGETS, PAD)
    read.states.requires_grad_()
    logits, states = torch.zeros(2, 3, SIZE), torch.randn(2, 3, WIDTH)
    made(logits, states, read, rotation(torch.arange(3), HEAD))[..., 2].sum().backward()
    learnt = [*made.parameters(), read.states]
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in learnt)


def test_what_comes_together_is_told_apart_by_what_comes_without() -> None:
    # la casa, la flor, una casa: "la" is 0, "casa" 1, "flor" 2, "una" 3; the end is 4. The, house, flower, a: 5 to 8.
    sources = torch.tensor([[0, 1, 4], [0, 2, 4], [3, 1, 4]])
    targets = torch.tensor([[5, 6, 4], [5, 7, 4], [8, 6, 4]])
    partners, shares = likeliest(translations(sources, targets, SIZE, PAD, passes=30), keep=2)
    assert partners[:5, 0].tolist() == [5, 6, 7, 8, 4]
    assert float(shares[:5, 0].min()) > 0.9
    assert partners[9, 0] == 9  # what was never seen stands for itself
    assert shares[9].tolist() == [1, 0]


def test_a_first_pass_counts_what_comes_together() -> None:
    table = translations(torch.tensor([[0, 1], [0, 2]]), torch.tensor([[3, 4], [3, PAD]]), SIZE, PAD, passes=1)
    assert table[:3, 3:5].tolist() == [[pytest.approx(2 / 3), pytest.approx(1 / 3)], [0.5, 0.5], [1, 0]]


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 4), min_size=1, max_size=4), st.lists(st.integers(5, 9), min_size=1, max_size=4)
        ),
        min_size=1,
        max_size=5,
    )
)
def test_every_pass_makes_the_targets_likelier(pairs: list[tuple[list[int], list[int]]]) -> None:
    sources, targets = (
        torch.tensor([one + [PAD] * (4 - len(one)) for one in texts]) for texts in zip(*pairs, strict=True)
    )
    likelihoods = []
    for passes in range(1, 6):
        table = translations(sources, targets, SIZE, PAD, passes)
        likely = [
            (table[one][:, other].mean(0)).log().sum()
            for one, other in zip(*map(_lists, (sources, targets)), strict=True)
        ]
        likelihoods.append(float(sum(likely)))
    assert all(later >= earlier - 1e-4 for earlier, later in pairwise(likelihoods))


def _lists(ids: torch.Tensor) -> list[list[int]]:
    return [[one for one in row if one != PAD] for row in ids.tolist()]


def test_a_pointer_learns_at_once_to_copy_also_letters_that_it_never_saw() -> None:
    draw, tokeniser = random.Random(0), train_bpe([], 259, special=SPECIAL)  # noqa: S311
    texts, held_out, unknown = (
        ["".join(draw.choices(letters, k=6)) for _ in range(count)]
        for letters, count in (("abcdefgh", 300), ("abcdefgh", 50), ("uvwxyz", 50))
    )
    training = Training(steps=40, batch_size=32, lr=1e-2, warmup_steps=10)
    config = TranslatorConfig(training, (), 8, 8, "abc", TransformerShape(32, 1, 4, 4), "itself")
    family = Translator(config, device="cpu").fit(Pairs.of([(text, text) for text in texts], tokeniser, (8, 8)))
    assert sum(one == other for one, other in zip(family.translate(held_out), held_out, strict=True)) >= 40
    # How long a text of such letters is, it cannot know.
    assert sum(one[:3] == other[:3] for one, other in zip(family.translate(unknown), unknown, strict=True)) >= 40
