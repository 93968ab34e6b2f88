"""What holds for every language family: memory changes nothing, resuming changes nothing, files come back."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from generative.errors import ConfigError, DataError
from generative.language.model import LanguageFamily
from generative.language.pictures import save_attention, save_temperatures
from generative.language.recurrent import Elman, ElmanCell, LongShortTerm, LongShortTermCell, RecurrentConfig
from generative.language.texts import Windows, open_text
from generative.language.transformer import TransformerConfig, TransformerFamily, TransformerShape
from generative.training import Training

TEXT = "uno dos tres cuatro cinco " * 60
TRAINING = Training(steps=40, batch_size=8, lr=1e-2, warmup_steps=4, log_every=20)


def made(kind: str, training: Training = TRAINING, **changes: object) -> LanguageFamily:  # type: ignore[type-arg]
    alphabet = "".join(sorted(set(TEXT)))
    if kind == "elman":
        return Elman(RecurrentConfig(training, alphabet, 16, width=16, layers=2), device="cpu")
    if kind == "lstm":
        return LongShortTerm(RecurrentConfig(training, alphabet, 16, width=16, layers=2), device="cpu")
    shape = TransformerShape(32, 2, 4, 2, position=kind)  # type: ignore[arg-type]
    return TransformerFamily(TransformerConfig(training, alphabet, 16, shape), device="cpu")


KINDS = ["elman", "lstm", "rope", "learned"]


def randomised(family: LanguageFamily) -> LanguageFamily:  # type: ignore[type-arg]
    """With weights that let every part of the network be heard."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in family.network.parameters():
            weight.normal_(std=0.3, generator=generator)
    return family


def windows(family: LanguageFamily) -> Windows:  # type: ignore[type-arg]
    return Windows(family.characters.encode(TEXT), 16)


@pytest.mark.parametrize("kind", KINDS)
def test_with_a_memory_the_logits_are_the_same(kind: str) -> None:
    network = randomised(made(kind)).network.eval()
    ids = torch.randint(0, 10, (2, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = network(ids)
        memory = network.memory(2)  # type: ignore[operator]
        parts = [network(part, memory) for part in ids.split([5, 1, 1, 4, 1, 4], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_no_token_knows_what_comes_after_it(kind: str) -> None:
    network = randomised(made(kind)).network.eval()
    ids = torch.arange(10)[None] % 7
    changed = ids.clone()
    changed[0, 6:] = 9
    with torch.no_grad():
        before, after = network(ids), network(changed)
    torch.testing.assert_close(before[:, :6], after[:, :6], atol=1e-5, rtol=0)
    assert (before[:, 6:] - after[:, 6:]).abs().max() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_learns_a_text_and_continues_it(kind: str) -> None:
    family = made(kind, Training(steps=150, batch_size=16, lr=1e-2, warmup_steps=10, log_every=50))
    data = windows(family)
    family.fit(data)
    assert float(family.score(data[torch.arange(8)][0]).mean()) < 0.4
    family.sampling = family.sampling.changed({"temperature": 0.0})
    ids = family.sample(1, condition="dos tre", length=9)
    assert family.characters.decode(ids[0].tolist()) == "dos tres cuatro "


@pytest.mark.parametrize("kind", KINDS)
def test_going_on_from_a_checkpoint_is_the_same_run(kind: str, tmp_path: Path) -> None:
    whole, first, second = made(kind), made(kind), made(kind)
    data = windows(whole)
    whole.fit(data, max_steps=8)
    first.fit(data, max_steps=4, checkpoint=tmp_path / "half.safetensors")
    second.fit(data, max_steps=8, resume=tmp_path / "half.safetensors")
    for one, other in zip(whole.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_it_scores_the_same(kind: str, tmp_path: Path) -> None:
    family = randomised(made(kind))
    family.save(tmp_path / "model.safetensors")
    again = type(family).load(tmp_path / "model.safetensors", device="cpu")
    texts = windows(family)[torch.arange(4)][0]
    assert torch.equal(again.score(texts), family.score(texts))


def test_a_text_that_is_longer_than_the_context_is_scored_throughout() -> None:
    family = randomised(made("rope"))
    ids = family.characters.encode(TEXT)[: 16 * 8 + 1]
    overlapping = family.surprise(ids, batch_size=3)
    apart = float(family.score(Windows(ids, 16)[torch.arange(8)][0]).mean())
    assert overlapping != apart
    assert overlapping == pytest.approx(apart, rel=0.2)
    # In one window there is nothing to overlap.
    assert family.surprise(ids[:17]) == pytest.approx(float(family.score(ids[None, :17])), rel=1e-6)


def test_the_context_is_the_longest_text() -> None:
    network = made("rope").network
    with pytest.raises(ValueError, match="looks back over 16"):
        network(torch.zeros(1, 17, dtype=torch.int64))


def test_attention_maps_are_shares_of_what_came_before() -> None:
    network = randomised(made("rope")).network
    maps: Tensor = network.attention_maps(torch.arange(9)[None] % 7)  # type: ignore[operator]
    assert maps.shape == (2, 1, 4, 9, 9)
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 1, 4, 9))
    assert maps.triu(1).max() == 0


def test_at_first_every_token_is_as_likely() -> None:
    family = made("rope")
    texts = windows(family)[torch.arange(2)][0]
    expected = torch.full((2,), family.characters.size).log()
    torch.testing.assert_close(family.score(texts), expected)


def test_the_plain_cell_is_torchs() -> None:
    torch.manual_seed(0)
    ours, theirs = ElmanCell(3, 4), nn.RNN(3, 4, batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.input.weight)
        theirs.bias_ih_l0.copy_(ours.input.bias)
        theirs.weight_hh_l0.copy_(ours.recurrent.weight)
        theirs.bias_hh_l0.zero_()
    inputs = torch.randn(2, 5, 3)
    outputs, (state,) = ours(inputs, (torch.zeros(2, 4),))
    expected, last = theirs(inputs)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(state, last[0])


def test_the_gated_cell_follows_the_equations() -> None:
    torch.manual_seed(0)
    cell = LongShortTermCell(3, 4)
    inputs, hidden, kept = torch.randn(2, 5, 3), torch.randn(2, 4), torch.randn(2, 4)
    outputs, state = cell(inputs, (hidden, kept))
    layer = cell.layer
    for place in range(5):
        gates = inputs[:, place] @ layer.weight_ih_l0.T + layer.bias_ih_l0 + layer.bias_hh_l0
        i, f, g, o = (gates + hidden @ layer.weight_hh_l0.T).chunk(4, -1)
        kept = f.sigmoid() * kept + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * kept.tanh()
        torch.testing.assert_close(outputs[:, place], hidden)
    torch.testing.assert_close(state, (hidden, kept))


def test_a_text_file_is_cut_into_what_is_learnt_and_what_is_held_out(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("".join(chr(97 + number * number % 26) for number in range(4000)), encoding="utf-8")
    split = open_text(str(path))
    assert (len(split.train), len(split.test)) == (28, 3)
    first, second = split.train[torch.tensor([0, 1])][0]
    assert first[-1] == second[0]


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("corto", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("año".encode("latin-1"))
    for name, rule in [("nothing", "reina-valera"), ("short.txt", "at least"), ("latin.txt", "UTF-8")]:
        with pytest.raises(DataError, match=rule):
            open_text(str(tmp_path / name) if name.endswith("txt") else name)
    with pytest.raises(ConfigError, match="learns from texts"):
        TransformerFamily.preset("cpu", {})
    with pytest.raises(DataError, match="not among the characters"):
        made("rope").sample(1, condition="ÑÑ")


def test_the_evaluation_prints_what_counting_gives_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(TEXT * 4, encoding="utf-8")
    found = made("rope").evaluate(open_text(str(path)))
    assert found["ngram_nats_per_character"] < 0.1 < found["nats_per_character"]


def test_pictures_are_drawn_from_a_live_model(tmp_path: Path) -> None:
    family = randomised(made("rope"))
    ids = family.characters.encode("uno dos")
    maps: Tensor = family.network.attention_maps(ids[None])  # type: ignore[operator]
    with family.evaluating():
        logits = family.network(ids[None])[0, -1]
    drawn = [
        save_attention(maps[0, 0], list("uno dos"), tmp_path / "attention.png"),
        save_temperatures(logits, family.config.alphabet, tmp_path / "temperature.png"),
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000 for path in drawn)
