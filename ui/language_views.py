"""What can be tried of each language family in the laboratory."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st
import torch

from generative.image_data import Images
from generative.language.bpe import BytePairTokeniser
from generative.language.masked import MASK, Masked
from generative.language.sampling import Sampling, distribution
from generative.language.telephone import RATE_HZ, tones
from generative.language.transformer import Transformer, TransformerFamily
from generative.language.translator import EncoderDecoder, Translator
from generative.language.unified import Unified
from ui.experiments import open_digits, picture, seeded
from ui.language_charts import CELL, attention_chart, guesses_chart, probabilities_chart, visible_token
from ui.safe import Html, block, span
from ui.show import show
from ui.texts import grouped
from ui.texts.laboratory_language import LanguageTexts

View = Callable[[Any, LanguageTexts], None]
_SHOWN, _GUESSES, _DRAWN = 14, 6, 8
_LONGEST = 44  # letters whose attention is drawn: more cannot be told apart
_COLOURS = 5
_LETTERS = 400
SLIPS = "El ordenador no fnuciona bein"
_COVERED = f"Y habló Jehová á {MASK}, diciendo: Habla á los hijos de {MASK}."


def tokeniser_view(family: Masked, words: LanguageTexts) -> None:
    """A text cut into its tokens."""
    text = st.text_area(words.your_text, words.sample_text, max_chars=2000, key="lab_tokens", height=120)
    ids = family.tokeniser.encode(text)
    show(tokens_html(family.tokeniser, ids))
    if ids:
        show(block("fu-limits", words.tokens_counted.format(tokens=grouped(len(ids)), letters=grouped(len(text)))))


def tokens_html(tokeniser: BytePairTokeniser, ids: Sequence[int]) -> Html:
    """Each token on a ground of its own, its number below."""
    return block(
        "fu-tokens",
        *(
            span(
                f"fu-token fu-token-{place % _COLOURS}",
                visible_token(tokeniser.decode([token])),
                span("fu-token-number", str(token)),
            )
            for place, token in enumerate(ids)
        ),
    )


def transformer_view(family: TransformerFamily, words: LanguageTexts) -> None:
    """Writing on, the choice of the next letter, and whom every letter looks at."""
    begin = st.text_input(words.begin, "Y dijo Dios: Sea la luz: y fué la lu", max_chars=120, key="lab_begin")
    known = "".join(letter for letter in begin if letter in family.config.alphabet) or "\n"
    columns = st.columns(4)
    sampling = Sampling(
        temperature=columns[0].slider(words.temperature, 0.0, 2.0, 0.7, 0.05, key="lab_temperature"),
        top_k=columns[1].slider(words.top_k, 0, 40, 0, key="lab_top_k", help=words.top_k_help),
        top_p=columns[2].slider(words.top_p, 0.05, 1.0, 1.0, 0.05, key="lab_top_p", help=words.top_p_help),
    )
    seed = int(columns[3].number_input(words.seed, min_value=0, value=0, step=1, key="lab_write_seed"))
    family.sampling = sampling
    ids = family.sample(1, condition=known, generator=seeded(seed), length=_LETTERS)[0]
    written = family.characters.decode(ids[len(known) :].tolist())
    show(block("fu-passage fu-written", span("fu-given", known), written))
    st.subheader(words.next_letter)
    st.vega_lite_chart(_next_letter(family, known, sampling), width="stretch", alt=words.next_letter)
    show(block("fu-limits", words.next_letter_help))
    st.subheader(words.attention)
    _attention(family, known[-_LONGEST:], words)


def _next_letter(family: TransformerFamily, text: str, sampling: Sampling) -> dict[str, Any]:
    ids = family.characters.encode(text)[None, -family.config.context :]
    with family.evaluating():
        logits = family.network(ids)[:, -1]
    before, after = distribution(logits, Sampling())[0], distribution(logits, sampling)[0]
    likeliest = before.argsort(descending=True)[:_SHOWN]
    names = [visible_token(family.config.alphabet[number]) for number in likeliest.tolist()]
    return probabilities_chart(names, before[likeliest].tolist(), after[likeliest].tolist())


def _attention(family: TransformerFamily, text: str, words: LanguageTexts) -> None:
    shape = family.config.shape
    left, right = st.columns(2)
    layer = left.slider(words.layer, 1, shape.layers, min(2, shape.layers), key="lab_layer") - 1
    head = right.slider(words.head, 1, shape.heads, 1, key="lab_head") - 1
    network = family.network
    assert isinstance(network, Transformer)  # noqa: S101
    with family.evaluating():
        weights = network.attention_maps(family.characters.encode(text)[None])[layer, 0, head]
    letters = [visible_token(letter) for letter in text]
    _attention_chart(weights, letters, letters, words.attention)
    show(block("fu-limits", words.attention_help))


def _attention_chart(weights: torch.Tensor, rows: Sequence[str], columns: Sequence[str], alt: str) -> None:
    # A width in pixels, unlike one in cells, gives way on a phone.
    st.vega_lite_chart(attention_chart(weights, rows, columns), width=CELL * (len(columns) + 1), alt=alt)


def masked_view(family: Masked, words: LanguageTexts) -> None:
    """Covered words guessed from both sides."""
    text = st.text_input(words.covered_text, _COVERED, max_chars=300, key="lab_masked", help=words.covered_help)
    guesses = family.fill_in(text, _GUESSES)
    parts = text.split(MASK)
    filled = [
        child
        for part, found in zip(parts, guesses, strict=False)
        for child in (part, span("fu-filled", found[0][0].strip()))
    ]
    show(block("fu-passage fu-written", *filled, parts[-1]))
    for column, found in zip(st.columns(max(2, len(guesses))), guesses, strict=False):
        named = [(visible_token(token), value) for token, value in found]
        column.vega_lite_chart(guesses_chart(named), width="stretch", alt=words.guesses)
    show(block("fu-limits", words.guesses_help))


def translator_view(family: Translator, words: LanguageTexts) -> None:
    """A text and what the model makes of it, with what it looked at."""
    text = st.text_input(words.slips, SLIPS, max_chars=48, key="lab_slips", help=words.slips_help)
    if not text.strip():
        return
    made = family.translate([text])[0]
    show(block("fu-passage fu-written", made))
    st.subheader(words.looked_at)
    network = family.network
    assert isinstance(network, EncoderDecoder)  # noqa: S101
    source, target = family.encode([text], [made])
    with family.evaluating():
        weights = network.given(source).looked_at(target[:, :-1])[0]
    read, written = (len(one.encode()) for one in (text, made))
    rows, columns = ([visible_token(letter) for letter in letters_of(one)] for one in (made, text))
    _attention_chart(weights[:written, :read], rows, columns, words.looked_at)
    show(block("fu-limits", words.looked_at_help))


def unified_view(family: Unified, words: LanguageTexts) -> None:
    """A word, a picture or a sound, and the other two that continue it."""
    tokens, kinds = family.tokeniser, {"text": words.word, "image": words.picture, "sound": words.sound}
    kind = st.segmented_control(
        words.given,
        list(kinds),
        default="text",
        format_func=lambda one: kinds[one],
        key="lab_unified_kind",
        label_visibility="collapsed",
    )
    given, result = st.columns([1, 2])
    with given:
        show(block("fu-label", words.given))
        if kind == "image":
            x = _test_image(words)
            st.image(picture(x), width=160)
            prompt = tokens.prompt("image", tokens.encode_images(x)[0].tolist())
        elif kind == "sound":
            digit = st.slider(words.digit, 0, 9, 7, key="lab_unified_sound")
            sound = tones(torch.tensor([digit]), 0.5, seeded(digit))
            st.audio(_audible(sound), sample_rate=RATE_HZ)
            prompt = tokens.prompt("sound", tokens.encode_sounds(sound)[0].tolist())
        else:
            word = family.parse_condition(st.text_input(words.word, "siete", max_chars=8, key="lab_unified_word"))
            prompt = tokens.prompt("text", tokens.encode_text(word))
    with result:
        show(block("fu-label", words.continued))
        if kind in ("image", "sound"):
            show(block("fu-passage fu-written", family.say([prompt])[0]))
        if kind != "image":
            st.image(picture(family.draw([prompt] * _DRAWN, seeded(0)), _DRAWN))
        if kind != "sound":
            st.audio(_audible(family.sing([prompt], seeded(0))), sample_rate=RATE_HZ)
    show(block("fu-limits", words.unified_help))


def _test_image(words: LanguageTexts) -> torch.Tensor:
    test = open_digits().test
    assert isinstance(test, Images)  # noqa: S101
    place = st.slider(words.picture, 0, 49, 3, key="lab_unified_image")
    return test.x[place : place + 1]


def _audible(sound: torch.Tensor) -> Any:
    # A player stops at the end: eight times over, a twentieth of a second can be heard.
    return (sound[0] / 2).repeat(8).numpy()


def letters_of(text: str) -> list[str]:
    """A text as one name for each of its bytes: the letter at its first, nothing at the rest."""
    return [name for letter in text for name in (letter, *[""] * (len(letter.encode()) - 1))]


LANGUAGE_VIEWS: dict[str, View] = {
    "tokeniser": tokeniser_view,
    "transformer": transformer_view,
    "masked": masked_view,
    "translator": translator_view,
    "unified": unified_view,
}
