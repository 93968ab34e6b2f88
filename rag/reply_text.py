"""The text of a reply while its tokens come."""

from collections.abc import Callable, Iterator, Sequence


def definite(ids: Iterator[int], text_of: Callable[[list[int]], str]) -> Iterator[str]:
    """Text as it becomes definite: a character of several tokens appears when its last one is there.

    A character that the reply breaks off in the middle of is left out.
    """
    window: list[int] = []
    shown = text = ""
    for token in ids:
        window.append(token)
        text = text_of(window)
        if text.endswith("\ufffd"):
            continue
        if text != shown:
            yield text[len(shown) :]
        # Spaces depend on the token before, so one token of overlap is kept.
        window = window[-1:]
        shown = text = text_of(window)
    rest = text[len(shown) :].rstrip("\ufffd")
    if rest:
        yield rest


def until_stop(pieces: Iterator[str], stops: Sequence[str]) -> Iterator[str]:
    """The pieces joined up to the first stop text; what may be the start of one is held back."""
    if not stops:
        yield from pieces
        return
    held = ""
    for piece in pieces:
        held += piece
        cut = min((at for stop in stops if (at := held.find(stop)) >= 0), default=-1)
        if cut >= 0:
            if cut:
                yield held[:cut]
            return
        keep = max(_overlap(held, stop) for stop in stops)
        ready = held[: len(held) - keep]
        if ready:
            yield ready
        held = held[len(ready) :]
    if held:
        yield held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    return next((n for n in range(min(len(stop), len(text)), 0, -1) if text.endswith(stop[:n])), 0)
