"""The three languages say the same things."""

import string
from dataclasses import asdict

import pytest

from ingest.errors import IngestError
from ui.texts import LANGUAGE_NAMES, TEXTS, grouped, language_of


def _words(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _placeholders(value):
    return sorted(field for text in _words(value) for _, field, _, _ in string.Formatter().parse(text) if field)


@pytest.mark.parametrize("language", TEXTS)
def test_nothing_is_empty(language):
    for key, value in asdict(TEXTS[language]).items():
        assert all(text.strip() == text and text for text in _words(value)), key


@pytest.mark.parametrize("language", ["es", "pt"])
def test_placeholders_agree_with_english(language):
    english = asdict(TEXTS["en"])
    for key, value in asdict(TEXTS[language]).items():
        assert _placeholders(value) == _placeholders(english[key]), key
        assert len(_words(value)) == len(_words(english[key])), key


def test_every_language_has_a_name_and_differs():
    assert list(LANGUAGE_NAMES) == list(TEXTS)
    spanish, portuguese, english = (list(asdict(TEXTS[name]).values()) for name in ("es", "pt", "en"))
    for one, other in ((spanish, portuguese), (spanish, english), (portuguese, english)):
        alike = sum(a == b for a, b in zip(one, other, strict=True))
        assert alike < len(one) / 4


@pytest.mark.parametrize(
    ("locale", "language"),
    [("es-AR", "es"), ("pt_BR", "pt"), ("PT", "pt"), ("en-US", "en"), ("de-DE", "en"), (None, "en"), ("", "en")],
)
def test_the_browser_chooses_the_language(locale, language):
    assert language_of(locale) == language


def test_counts_and_groups():
    assert TEXTS["es"].count(1, "passage") == "1 pasaje"
    assert TEXTS["pt"].count(12345, "document") == "12\u202f345 documentos"
    assert grouped(0) == "0"


def test_every_rule_that_can_refuse_a_file_has_a_name():
    pending, rules = [IngestError], set()
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        rules.add(kind.rule)
    for texts in TEXTS.values():
        assert {rule for rule in rules if not hasattr(texts, f"rule_{rule}")} == {IngestError.rule}
