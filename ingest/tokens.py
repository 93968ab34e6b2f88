"""Token counts of the embedder's own tokenizer, without loading its weights."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from ingest.types import Span

# Texts encoded together: enough for the tokenizer's threads, little enough that a huge document stays in memory.
_BATCH_TEXTS = 2048


class TokenCounter:
    """Counts tokens, special tokens and prefixes not included."""

    def __init__(self, tokenizer: Tokenizer | Callable[[], Tokenizer]) -> None:
        """`tokenizer` may be a function that loads one, for this counter alone; it is called by the first count."""
        self._source = tokenizer

    @classmethod
    def from_file(cls, path: Path) -> "TokenCounter":
        """The counter of a `tokenizer.json`, which is read by the first count."""
        return cls(lambda: Tokenizer.from_file(str(path)))

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text."""
        found: list[int] = []
        for start in range(0, len(texts), _BATCH_TEXTS):
            batch = list(texts[start : start + _BATCH_TEXTS])
            found += [len(encoding) for encoding in self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)]
        return found

    def split(self, text: str, max_tokens: int) -> list[Span]:
        """Ranges that cover `text`, each of at most `max_tokens` tokens, cut between words where there are any.

        A single character that is more tokens than that stays whole.
        """
        cuts = list(self._cuts(text, max_tokens))
        spans: list[Span] = []
        for span, count in zip(cuts, self.counts([text[span.start : span.end] for span in cuts]), strict=True):
            if count <= max_tokens or span.end - span.start == 1:
                spans.append(span)
                continue
            # Cut out of its word, a part may become more tokens than it was within it.
            middle = (span.start + span.end) // 2
            for start, end in ((span.start, middle), (middle, span.end)):
                parts = self.split(text[start:end], max_tokens)
                spans += [Span(start + part.start, start + part.end) for part in parts]
        return spans

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        source = self._source
        # A copy: truncation and padding belong to the embedder that shares the tokenizer.
        tokenizer = Tokenizer.from_str(source.to_str()) if isinstance(source, Tokenizer) else source()
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def _cuts(self, text: str, max_tokens: int) -> Iterator[Span]:
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        start = first = 0
        while len(offsets) - first > max_tokens:
            last = _between_words(text, offsets, first, first + max_tokens)
            # Offsets count characters; a character made of several tokens must not be cut apart.
            end = max(offsets[last][0], start + 1)
            yield Span(start, end)
            start = end
            first = next((i for i in range(last, len(offsets)) if offsets[i][0] >= end), len(offsets))
        if start < len(text):
            yield Span(start, len(text))


def _between_words(text: str, offsets: Sequence[tuple[int, int]], first: int, last: int) -> int:
    """The last token up to `last`, in the second half of the range, that begins a word; `last` when none does."""
    for index in range(last, (first + last) // 2, -1):
        at = offsets[index][0]
        if at > 0 and (text[at - 1].isspace() or text[at].isspace()):
            return index
    return last
