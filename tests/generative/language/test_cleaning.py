import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generative.language.cleaning import Cleaning, clean

CHOICES = st.builds(
    Cleaning,
    form=st.sampled_from(["NFC", "NFKC", "none"]),
    strip_accents=st.booleans(),
    lower=st.booleans(),
    collapse_spaces=st.booleans(),
)


@given(st.text(max_size=60), CHOICES)
def test_the_text_can_be_put_back_letter_for_letter(text: str, cleaning: Cleaning) -> None:
    assert clean(text, cleaning).restore() == text


@given(st.text(max_size=60))
def test_nothing_is_done_unasked(text: str) -> None:
    cleaned = clean(text, Cleaning())
    assert cleaned.text == text
    assert cleaned.changes == ()


@given(st.text(st.characters(max_codepoint=0x24F), max_size=60))
def test_forms_are_those_of_the_whole_text(text: str) -> None:
    assert clean(text, Cleaning(form="NFC")).text == unicodedata.normalize("NFC", text)


def test_accents_capitals_and_spaces_go_when_asked() -> None:
    cleaning = Cleaning(form="NFKC", strip_accents=True, lower=True, collapse_spaces=True)
    cleaned = clean("El  AÑO\n\n ﬁnal: Canção", cleaning)
    assert cleaned.text == "el ano\nfinal: cancao"
    assert cleaned.changes[1].original == "  "


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="NFC, NFKC, none"):
        Cleaning(form="nfd")  # type: ignore[arg-type]
