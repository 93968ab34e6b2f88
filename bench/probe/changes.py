"""Questions that a small change makes unanswerable: another name, another number, the opposite.

Source: the kinds of change are some of those that Rajpurkar et al. 2018, "Know What You Don't Know", found in questions
that people wrote to mislead.
"""

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from functools import partial
from typing import Any, TypeAlias

from index.embedder import Vectors
from index.stopwords import STOP_WORDS

# A word with a capital that does not begin a sentence, and those that belong to it.
_NAME = re.compile(
    r"(?<=[\w,;)] )[A-ZÁÉÍÓÚÂÊÔÑ][\w'’-]+(?:(?: (?:de|da|do|del|of|the|la|el))? [A-ZÁÉÍÓÚÂÊÔÑ][\w'’-]+)*"
)
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)*(?![\w])")
_OPPOSITES = {
    "es": """
        primer/último primera/última primero/último mayor/menor mayores/menores más/menos antes/después norte/sur
        este/oeste máximo/mínimo máxima/mínima aumentó/disminuyó aumentar/disminuir aumento/descenso siempre/nunca
        mejor/peor alto/bajo alta/baja altos/bajos nuevo/antiguo nueva/antigua ricos/pobres dentro/fuera inicio/final
        comenzó/terminó comienza/termina interior/exterior ganó/perdió positivo/negativo positiva/negativa
        grande/pequeño grandes/pequeños con/sin común/raro superior/inferior masculino/femenino hombres/mujeres
        público/privado públicas/privadas causa/impide causó/impidió entró/salió
        """,
    "pt": """
        primeiro/último primeira/última maior/menor maiores/menores mais/menos antes/depois norte/sul leste/oeste
        máximo/mínimo aumentou/diminuiu aumentar/diminuir sempre/nunca melhor/pior alto/baixo alta/baixa novo/antigo
        nova/antiga ricos/pobres dentro/fora início/fim começou/terminou positivo/negativo grande/pequeno com/sem
        comum/raro superior/inferior homens/mulheres público/privado públicas/privadas
        """,
    "en": """
        first/last more/less most/least before/after north/south east/west northern/southern eastern/western
        maximum/minimum increased/decreased increase/decrease always/never best/worst high/low higher/lower
        highest/lowest long/short longest/shortest largest/smallest larger/smaller large/small new/old rich/poor
        inside/outside began/ended begin/end start/stop started/stopped won/lost positive/negative with/without
        common/rare upper/lower male/female men/women public/private cause/prevent caused/prevented early/late
        earliest/latest
        """,
}
# Of names and numbers that take another's place, the share from the same paragraph, where there are any.
_NEAR = 0.6
# Where a question has both names and words with an opposite, the share that gets the opposite.
_OPPOSITE_SHARE = 0.5
_CLOSEST = 4
# So many are looked at, as each needs a vector. Of two that are spelt alike, one is often the other.
_DRAWN = 24
_SPELT_ALIKE = 0.7
_ORDINARY = frozenset().union(*STOP_WORDS.values())
Embed: TypeAlias = Callable[[Sequence[str]], Vectors]


class Changer:
    """Changes questions. What is like another is known by what `embed` makes of words: vectors (N, D) of length 1."""

    def __init__(self, embed: Embed, random_: random.Random) -> None:
        self._embed, self._random = embed, random_
        self._vectors: dict[str, Any] = {}

    def changed(self, question: str, language: str, near: str, others: Sequence[str]) -> str | None:
        """A question that asks for something else, which the paragraph `near` most likely does not tell.

        None where nothing in it can be changed. What is put in is like what it replaces, and comes from that paragraph
        or from `others` of its article.
        """
        places = [found for kind in (_NAME, _NUMBER) for found in _replaceable(kind, question, near, others)]
        opposites = _opposites(language)
        words = [found for found in re.finditer(r"\w+", question) if found[0] in opposites]
        if not places and not words:
            return None
        if words and (not places or self._random.random() < _OPPOSITE_SHARE):
            word = self._random.choice(words)
            return _with(question, word, opposites[word[0]])
        place, close, far = self._random.choice(places)
        take = close if close and (not far or self._random.random() < _NEAR) else far
        drawn = self._random.sample(take, min(_DRAWN, len(take)))
        closest = self._closest(place[0], [one for one in drawn if not _spelt_alike(place[0], one)])
        return _with(question, place, self._random.choice(closest)) if closest else None

    def _closest(self, old: str, names: Sequence[str]) -> list[str]:
        """Those of some names that are most like one."""
        new = [one for one in dict.fromkeys([old, *names]) if one not in self._vectors]
        if new:
            self._vectors |= zip(new, self._embed(new), strict=True)
        likeness = {one: float(self._vectors[one] @ self._vectors[old]) for one in names}
        return sorted(names, key=likeness.__getitem__, reverse=True)[:_CLOSEST]


def _replaceable(
    kind: re.Pattern[str], question: str, near: str, others: Sequence[str]
) -> Iterator[tuple[re.Match[str], list[str], list[str]]]:
    """Names or numbers of a question, each with those here and elsewhere that may take its place."""
    close, far = (_found(kind, texts) for texts in ([near], others))
    for place in kind.finditer(question):
        fits = partial(_may_replace, place[0], question)
        if any(map(fits, close | far)):
            yield place, sorted(filter(fits, close)), sorted(filter(fits, far))


def _found(kind: re.Pattern[str], texts: Iterable[str]) -> set[str]:
    found = {match[0] for text in texts for match in kind.finditer(text)}
    return {one for one in found if one.lower() not in _ORDINARY}


def _may_replace(old: str, question: str, new: str) -> bool:
    """Numbers have to be as long."""
    return new not in question and old not in new and (not old[0].isdigit() or len(new) == len(old))


def _spelt_alike(old: str, new: str) -> bool:
    return not old[0].isdigit() and SequenceMatcher(None, old, new).ratio() > _SPELT_ALIKE


def _opposites(language: str) -> dict[str, str]:
    pairs = [pair.split("/") for pair in _OPPOSITES[language].split()]
    return {one: other for first, second in pairs for one, other in ((first, second), (second, first))}


def _with(question: str, place: re.Match[str], other: str) -> str:
    return question[: place.start()] + other + question[place.end() :]
