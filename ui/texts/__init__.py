"""All that the interface says, in Spanish, Portuguese and English."""

from collections.abc import Mapping
from types import MappingProxyType

from ui.texts.en import EN
from ui.texts.es import ES
from ui.texts.fields import Texts, grouped
from ui.texts.laboratory import LaboratoryTexts
from ui.texts.laboratory_en import LABORATORY_EN
from ui.texts.laboratory_es import LABORATORY_ES
from ui.texts.laboratory_pt import LABORATORY_PT
from ui.texts.pt import PT

__all__ = ["LABORATORY", "LANGUAGE_NAMES", "TEXTS", "Texts", "grouped", "language_of"]

TEXTS: Mapping[str, Texts] = MappingProxyType({"es": ES, "pt": PT, "en": EN})
LABORATORY: Mapping[str, LaboratoryTexts] = MappingProxyType(
    {"es": LABORATORY_ES, "pt": LABORATORY_PT, "en": LABORATORY_EN}
)
# Every language calls itself by its own name.
LANGUAGE_NAMES: Mapping[str, str] = MappingProxyType({"es": "Español", "pt": "Português", "en": "English"})
_FALLBACK = "en"


def language_of(locale: str | None) -> str:
    """The interface language for a browser's locale such as "pt-BR"."""
    primary = (locale or "").replace("_", "-").split("-")[0].lower()
    return primary if primary in TEXTS else _FALLBACK
