import random
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from generative.errors import ConfigError, DataError
from generative.family import Split
from generative.language.bpe import train_bpe
from generative.language.chrf import chrf
from generative.language.pairs import SPECIAL, Pairs, Text, open_pairs, with_slips
from generative.language.pointer import KEPT, Stands
from generative.language.sampling import Sampling, generate
from generative.language.transformer import TransformerShape
from generative.language.translator import EncoderDecoder, Translator, TranslatorConfig
from generative.training import Training

WORDS = {"uno": "one", "dos": "two", "tres": "three", "cuatro": "four", "cinco": "five"}
DRAW = random.Random(0)  # noqa: S311
TEXTS = [" ".join(DRAW.choices(list(WORDS), k=3)) for _ in range(60)]
PAIRS = [(text, " ".join(WORDS[word] for word in reversed(text.split()))) for text in dict.fromkeys(TEXTS)]
TOKENISER = train_bpe((text for pair in PAIRS for text in pair), 320, special=SPECIAL)


def translator(steps: int, pointer: Stands | None = None) -> Translator:
    training = Training(steps=steps, batch_size=16, lr=1e-2, warmup_steps=10, log_every=10)
    shape = TransformerShape(32, 1, 4, 2)
    config = TranslatorConfig(training, TOKENISER.merges, 12, 12, PAIRS[0][0], shape, pointer)
    return Translator(config, device="cpu")


def randomised(pointer: Stands | None = None) -> EncoderDecoder:
    network = translator(1, pointer).network
    assert isinstance(network, EncoderDecoder)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(std=0.3, generator=generator)
    return network.eval()


ALL = Pairs.of(PAIRS, TOKENISER, (12, 12))
SOURCE, TARGET = ALL[torch.arange(4)]
EACH_POINTER = pytest.mark.parametrize("pointer", [None, "itself", "translations"])


@EACH_POINTER
def test_with_a_memory_the_decoder_gives_the_same(pointer: Stands | None) -> None:
    given_source = randomised(pointer).given(SOURCE)
    with torch.no_grad():
        memory = given_source.memory(4)
        parts = [given_source(part, memory) for part in torch.split(TARGET, [3, 1, 8], 1)]
        torch.testing.assert_close(torch.cat(parts, 1), given_source(TARGET), atol=1e-5, rtol=0)


@EACH_POINTER
def test_padding_of_the_source_changes_nothing(pointer: Stands | None) -> None:
    network = randomised(pointer)
    longer = torch.cat([SOURCE, torch.full((4, 3), TOKENISER.token("<pad>"))], 1)
    with torch.no_grad():
        torch.testing.assert_close(network(longer, TARGET), network(SOURCE, TARGET), atol=1e-5, rtol=0)


@EACH_POINTER
def test_the_decoder_reads_the_whole_source_and_no_later_target(pointer: Stands | None) -> None:
    network = randomised(pointer)
    other_source, other_target = SOURCE.clone(), TARGET.clone()
    other_source[:, 0], other_target[:, 5:] = 7, 7
    with torch.no_grad():
        before = network(SOURCE, TARGET)
        assert (network(other_source, TARGET) - before).abs().amax((1, 2)).min() > 1e-2
        torch.testing.assert_close(network(SOURCE, other_target)[:, :5], before[:, :5], atol=1e-5, rtol=0)


def test_cross_attention_looks_at_the_source_only_where_it_is_text() -> None:
    maps: Tensor = randomised().given(SOURCE).cross_attention(TARGET)
    assert maps.shape == (1, 4, 4, 12, 12)
    torch.testing.assert_close(maps.sum(-1), torch.ones(1, 4, 4, 12))
    pad = TOKENISER.token("<pad>")
    padding = SOURCE.eq(pad)[None, :, None, None, :].expand_as(maps)
    assert maps[padding].max() == 0


@EACH_POINTER
def test_what_is_looked_at_is_a_share_of_the_text(pointer: Stands | None) -> None:
    looked_at = randomised(pointer).given(SOURCE).looked_at(TARGET)
    torch.testing.assert_close(looked_at.sum(-1), torch.ones(4, 12))
    assert looked_at[SOURCE.eq(TOKENISER.token("<pad>"))[:, None].expand_as(looked_at)].max() == 0


@EACH_POINTER
def test_the_loss_is_the_mean_surprise_of_all_tokens_of_the_targets(pointer: Stands | None) -> None:
    family = translator(1, pointer)
    family.network.load_state_dict(randomised(pointer).state_dict())
    family.prepare(ALL)
    loss, _ = family.loss((SOURCE, TARGET), torch.Generator())
    with torch.no_grad():
        logits = family.network(SOURCE, TARGET[:, :-1])
    wanted = TARGET[:, 1:].masked_fill(TARGET[:, 1:] == TOKENISER.token("<pad>"), -100)
    torch.testing.assert_close(loss.detach(), torch.nn.functional.cross_entropy(logits.mT, wanted))
    every = [family.score(torch.cat([SOURCE, TARGET], 1))[row] for row in range(4)]
    each = [torch.nn.functional.cross_entropy(logits[row], wanted[row]) for row in range(4)]
    torch.testing.assert_close(torch.stack(every), torch.stack(each))


def test_a_run_with_counted_translations_goes_on_where_it_stopped(tmp_path: Path) -> None:
    through, halves, path = translator(4, "translations"), translator(4, "translations"), tmp_path / "half.safetensors"
    through.fit(ALL)
    halves.fit(ALL, max_steps=2, checkpoint=path)
    halves = translator(4, "translations")
    halves.fit(ALL, resume=path)
    state = through.network.state_dict()
    assert state["pointer.shares"].amax() > 2 / KEPT  # counted, not alike as before
    assert all(torch.equal(one, state[name]) for name, one in halves.network.state_dict().items())
    packed = Translator.load(halves.save(tmp_path / "packed.safetensors", training=False, dtype=torch.float16))
    made = halves.translate(PAIRS[0])
    assert packed.translate(PAIRS[0]) == made


def test_learns_to_translate_and_turn_round(tmp_path: Path) -> None:
    family = translator(150)
    family.fit(ALL)
    made = family.translate([source for source, _ in PAIRS])
    assert sum(one == target for one, (_, target) in zip(made, PAIRS, strict=True)) >= 0.9 * len(PAIRS)
    right = torch.cat([SOURCE, TARGET], 1)
    wrong = torch.cat([SOURCE, TARGET.roll(1, 0)], 1)
    assert float(family.score(right).mean()) < 0.2 < float(family.score(wrong).mean())
    written = family.write_samples(family.sample(2, condition="uno dos tres"), tmp_path)
    assert len(written[0].read_text(encoding="utf-8").splitlines()) == 2


def test_figures_stand_beside_those_of_copying_a_dictionary_and_the_closest_known_text() -> None:
    hinted = Pairs.of([Text(one, other, f"uno\n{other}") for one, other in PAIRS[:4]], TOKENISER, (16, 12))
    family = translator(1)
    family = Translator(family.config.changed({"source_length": 16}), device="cpu")
    figures = family.evaluate(Split("words", ALL, hinted, {}))
    assert figures["exact_match_of_closest_known"] == figures["chrf_of_closest_known"] == 1
    assert figures["exact_match"] == figures["exact_match_of_copying"] == 0
    assert figures["chrf_of_copying"] == pytest.approx(chrf(hinted.sources, hinted.targets))
    # Word by word, in the order of the source: the letters are right, the places are not.
    assert 0.5 < figures["chrf_of_dictionary"] < 1
    assert "chrf_of_closest_known" not in translator(1).evaluate(Split("words", ALL, ALL, {}))


def test_drawing_ends_where_every_text_has_ended() -> None:
    class Ending:
        def memory(self, batch: int) -> "Ending":
            return self

        room = float("inf")

        def __call__(self, ids: Tensor, memory: object = None) -> Tensor:
            return torch.nn.functional.one_hot(torch.full_like(ids, 3), 5).float() * 100

    out = generate(Ending(), torch.zeros(2, 1, dtype=torch.int64), 9, Sampling(), torch.Generator(), stop=3)
    assert out.tolist() == [[0, 3], [0, 3]]


def test_a_text_that_is_too_long_is_told() -> None:
    with pytest.raises(DataError, match="this model takes 12"):
        translator(1).translate(["uno dos tres " * 20])


def test_numbers_in_words_are_pairs_and_no_test_number_is_learnt() -> None:
    pytest.importorskip("num2words")
    split = open_pairs("numbers-en-es")
    assert isinstance(split.train, Pairs)
    assert isinstance(split.test, Pairs)
    assert (len(split.train), len(split.test)) == (20_000, 1_000)
    assert not set(split.train.sources) & set(split.test.sources)
    known = dict(zip(split.train.sources, split.train.targets, strict=True))
    known |= dict(zip(split.test.sources, split.test.targets, strict=True))
    hundred = [source for source in known if source == "one hundred"]
    assert all(known[source] == "cien" for source in hundred)


@given(st.text("abcáéñ ", min_size=1, max_size=40), st.integers(0, 100))
def test_slips_come_from_the_seed_and_are_few(text: str, seed: int) -> None:
    draws = [random.Random(seed) for _ in range(3)]  # noqa: S311
    assert with_slips(text, draws[0]) == with_slips(text, draws[1])
    plain = str.maketrans("áéñ", "aen")
    assert with_slips(text, draws[2], share=0.0).translate(plain) == text.translate(plain)


@pytest.mark.parametrize("name", ["numbers-en-en", "numbers-en-fr", "verses-en-pt", "nothing"])
def test_pairs_that_do_not_exist_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="numbers-en-es"):
        open_pairs(name)
    with pytest.raises(ConfigError, match="pairs"):
        Translator.preset("cpu", {})


def test_chrf_by_hand() -> None:
    assert chrf(["la casa"], ["la casa"]) == 1
    assert chrf(["xyz"], ["abc"]) == 0
    # "ab" against "abc": letters 2/2 and 2/3, pairs 1/1 and 1/2; no longer grams on our side.
    letters, pairs = 5 * (2 / 3) / (4 + 2 / 3), 5 * 0.5 / (4 + 0.5)
    assert chrf(["ab"], ["abc"]) == pytest.approx((letters + pairs) / 2)
