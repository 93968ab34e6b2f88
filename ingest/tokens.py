"""Token counts of the embedder's own tokenizer, without loading its weights."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from ingest.types import Span


class TokenCounter:
    """Counts tokens, special tokens and prefixes not included."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        # A copy: truncation and padding belong to the embedder that shares the tokenizer.
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @classmethod
    def from_file(cls, path: Path) -> "TokenCounter":
        """The counter of a `tokenizer.json`."""
        return cls(Tokenizer.from_file(str(path)))

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

    def split(self, text: str, max_tokens: int) -> list[Span]:
        """Ranges of `text` of at most `max_tokens` tokens each, cut between words where there are any."""
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        spans: list[Span] = []
        first = 0
        start = 0
        while len(offsets) - first > max_tokens:
            last = self._cut(text, offsets, first, first + max_tokens)
            # Offsets count characters; a character made of several tokens must not be cut apart.
            end = max(offsets[last][0], start + 1)
            spans.append(Span(start, end))
            start, first = end, last
        if start < len(text):
            spans.append(Span(start, len(text)))
        return spans

    @staticmethod
    def _cut(text: str, offsets: Sequence[tuple[int, int]], first: int, last: int) -> int:
        for index in range(last, (first + last) // 2, -1):
            at = offsets[index][0]
            if at > 0 and (text[at - 1].isspace() or text[at].isspace()):
                return index
        return last
