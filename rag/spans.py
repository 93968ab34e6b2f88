"""Pieces of passages, word for word: which texts may still become one, and a beam search for the likeliest."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# A piece begins with a word, or with the sign before one.
_BEGINNING = re.compile(r"[\"“«(¿¡$€£+−-](?=\w)|(?<!\w)\w")
# Tokens looked at after each path; a likely end of an answer is never so far down.
_TRIED = 200
_AROUND = " \t\r\n.,;:\"“”«»'*`"

Places = tuple[tuple[int, int], ...]
"""Pairs of the number of a text and an offset in it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`texts[text][start:end]`; `log_likelihood` is the ln P of its tokens and of the reply's end after them."""

    text: int
    start: int
    end: int
    log_likelihood: float


@dataclass(frozen=True, slots=True)
class _Path:
    """The tokens written so far, their text, where it stands and its ln P."""

    ids: tuple[int, ...]
    written: str
    places: Places
    log_likelihood: float


class PieceSearch:
    """A beam search that writes nothing but pieces of the texts, from the beginning of a word to the end of one."""

    def __init__(
        self,
        texts: Sequence[str],
        text_of: Callable[[list[int]], str],
        end_ids: Collection[int],
        *,
        width: int = 4,
        max_tokens: int = 32,
    ) -> None:
        self._found: list[Piece] = []
        self._best = float("-inf")
        self._texts = tuple(texts)
        self._text_of = text_of
        self._end_ids = sorted(end_ids)
        self._width = width
        self._max_tokens = max_tokens
        starts = ((n, found.start()) for n, text in enumerate(texts) for found in _BEGINNING.finditer(text))
        self._paths = [_Path((), "", tuple(starts), 0.0)]

    @property
    def found(self) -> list[Piece]:
        """The pieces seen so far, the likeliest first; those much less likely than it were not all looked for."""
        return sorted(self._found, key=lambda piece: -piece.log_likelihood)

    def step(self, logs: "torch.Tensor") -> tuple[list[int], list[int]]:
        """Which rows of `logs` (paths, V), ln P of the next token of each path, go on, and with which token.

        Both lists are empty when no path can become better than the best piece so far.
        """
        found: list[tuple[int, _Path]] = []
        for row, path in enumerate(self._paths):
            self._end(path, float(logs[row, self._end_ids].max()))
            found += [(row, longer) for longer in self._longer(path, logs[row])]
        # Likelihood only falls with length.
        kept = sorted(
            (each for each in found if each[1].log_likelihood > self._best), key=lambda each: -each[1].log_likelihood
        )
        kept = kept[: self._width]
        self._paths = [path for _, path in kept]
        return [row for row, _ in kept], [path.ids[-1] for path in self._paths]

    def _end(self, path: _Path, end: float) -> None:
        """Takes the path for a piece when it ends with a word."""
        place = self._complete(path)
        if place is not None:
            text, start = place
            self._found.append(Piece(text, start, start + len(path.written), path.log_likelihood + end))
            self._best = max(self._best, path.log_likelihood + end)

    def _complete(self, path: _Path) -> tuple[int, int] | None:
        """The first place at which the path ends with a word."""
        if not path.written or path.written[-1].isspace():
            return None
        for text, start in path.places:
            at = start + len(path.written)
            if not (path.written[-1].isalnum() and self._texts[text][at : at + 1].isalnum()):
                return text, start
        return None

    def _longer(self, path: _Path, logs: "torch.Tensor") -> Iterator[_Path]:
        """The likeliest ways to go on, as many as the beam is wide."""
        if len(path.ids) == self._max_tokens:
            return
        values, tokens = logs.topk(min(_TRIED, len(logs)))
        found = 0
        for value, token in zip(values.tolist(), tokens.tolist(), strict=True):
            if found == self._width:
                return
            longer = None if token in self._end_ids else self._followed(path, token, value)
            if longer is not None:
                found += 1
                yield longer

    def _followed(self, path: _Path, token: int, log: float) -> _Path | None:
        """The path with one more token, if some text goes on so."""
        ids = (*path.ids, token)
        # A character of several tokens is not one yet.
        written = self._text_of(list(ids)).rstrip("\ufffd").lstrip()
        places = tuple(place for place in path.places if self._texts[place[0]].startswith(written, place[1]))
        return _Path(ids, written, places, path.log_likelihood + log) if places and written else None


def standing_in(texts: Sequence[str], reply: str) -> Piece | None:
    """Where a reply stands in some text, whatever the case and the signs around it; None when it stands nowhere."""
    wanted = reply.strip(_AROUND)
    if not wanted:
        return None
    words = r"\s+".join(map(re.escape, wanted.replace("%", " %").split())).replace(r"\s+%", r"\s*%")
    pattern = re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)
    for number, text in enumerate(texts):
        if found := pattern.search(text):
            return Piece(number, *found.span(), 0.0)
    return None
