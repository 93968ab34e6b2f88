"""What a model writes becomes sentences that passages carry, each with the markers of its sources."""

import copy
import re
from collections.abc import Callable
from itertools import pairwise

from index.types import Hit
from ingest.sentences import sentence_spans
from ingest.types import Span
from rag.grounding import Grounder, Support
from rag.names import word_forms
from rag.types import Citation

# The passages are numbered in the prompt and small models copy the numbers at random; ours are computed.
_MODEL_MARKER = re.compile(r"\s*\[\s*(?:[?!]|\d+(?:\s*(?:[,;–-]|\b(?:y|e|and)\b)\s*\d+)*)\s*\]")
_WORD = re.compile(r"\w")
UNSURE_MARK = "[?]"
"""Follows the marker of a sentence with a name that its source does not have there, or not in this language."""
UNSUPPORTED_MARK = "[!]"
"""Follows, in place of a marker, a sentence that no passage supports."""

PageAt = Callable[[Hit, int], int | None]


class VerifiedText:
    """The verified part of an answer and its citations; sentences that no passage carries are left out or flagged.

    `supported` counts the sentences and pieces that passages carry, also those that were said before and are left out.
    `support` is that of the sentences on average, in [0, 1]; one that is left out or flagged has none.
    """

    def __init__(self, grounder: Grounder, language: str, page_at: PageAt, *, flag_unsupported: bool = False) -> None:
        self.text = ""
        self.citations: list[Citation] = []
        self.unsure: list[str] = []
        self.unsupported: list[str] = []
        self.supported = 0
        self._judged = 0
        self._strength = 0.0
        self._flag_unsupported = flag_unsupported
        self._grounder = grounder
        self._language = language
        self._page_at = page_at
        self._line_ended = False
        self._said: set[str] = set()
        self._told: list[tuple[str, frozenset[str]]] = []

    def add(self, sentence: str) -> str:
        """What a sentence that was written adds to the text, its marker included; "" when it is left out."""
        cleaned = without_markers(sentence)
        content = cleaned.strip()
        self._line_ended |= "\n" in cleaned[: cleaned.find(content)]
        ends_line = "\n" in sentence[len(sentence.rstrip()) :]
        if content in self._said:
            self.supported += 1
            return ""
        mark = self._judge(content) if _WORD.search(content) else ""
        if not mark:
            self._line_ended |= ends_line
            return ""
        if mark != UNSUPPORTED_MARK:
            self.supported += 1
            if self._is_told(content, mark):
                return ""
            self._said.add(content)
        separator = "\n" if self._line_ended else " "
        added = f"{separator if self.text else ''}{content} {mark}"
        self._line_ended = ends_line
        self.text += added
        return added

    def quote(self, hit: Hit, piece: Span, form: str | None = None) -> str:
        """What a piece of a passage, word for word, adds to the text; the sentences that it stands in are cited.

        Bare pieces make a list. `form`, with {words} in it, is how one is quoted behind sentences.
        """
        around = [span for span in sentence_spans(hit.chunk.text) if span.start < piece.end and piece.start < span.end]
        support = Support(hit, Span(around[0].start, around[-1].end), 1.0)
        words = hit.chunk.text[piece.start : piece.end]
        self.supported += 1
        if words in self._said:
            return ""
        separator = ("; " if form is None else " ") if self.text else ""
        added = f"{separator}{(form or '{words}').format(words=words)} [{self._cite(support)}]"
        self._said.add(words)
        self.text += added
        return added

    @property
    def support(self) -> float:
        """Of the sentences on average, also of those that are left out, which have none."""
        return self._strength / self._judged if self._judged else 0.0

    def fork(self) -> "VerifiedText":
        """Another that goes on from here."""
        twin = copy.copy(self)
        twin.citations, twin.unsure = [*self.citations], [*self.unsure]
        twin.unsupported, twin._said, twin._told = [*self.unsupported], {*self._said}, [*self._told]
        return twin

    def adopt(self, twin: "VerifiedText") -> str:
        """Becomes what a fork has become; what that adds to the text."""
        added = twin.text[len(self.text) :]
        vars(self).update(vars(twin))
        return added

    def _judge(self, content: str) -> str:
        mark = self._mark(content)
        self._judged += 1
        self._strength += max((one.support for one in self.citations if f"[{one.marker}]" in mark), default=0.0)
        return mark

    def _is_told(self, content: str, mark: str) -> bool:
        """Whether a sentence before, of the same source, has all of its words; the parts of a question repeat much."""
        words = word_forms(content)  # all of them: one that denies is not left out
        told = any(mark == earlier and words <= known for earlier, known in self._told)
        self._told.append((mark, words))
        return told

    def note(self, text: str) -> str:
        """What a remark of ours, on a line of its own, adds to the text."""
        added = f"\n{text}" if self.text else text
        self.text += added
        return added

    def _mark(self, content: str) -> str:
        """What follows a sentence; "" for one left out, which nothing carries or which tells what no passage does."""
        supports = self._grounder.verified(content, self._language)
        if not supports:
            if not self._flag_unsupported:
                return ""
            self.unsupported.append(content)
            return UNSUPPORTED_MARK
        unsure = supports[0].unsure
        self.unsure += [name for name in unsure if name not in self.unsure]
        markers = " ".join(f"[{self._cite(support)}]" for support in supports)
        return f"{markers} {UNSURE_MARK}" if unsure else markers

    def _cite(self, support: Support) -> str:
        """The marker of a supporting span; the same span keeps its marker."""
        chunk = support.hit.chunk
        start, end = chunk.start + support.span.start, chunk.start + support.span.end
        for citation in self.citations:
            if (citation.chunk_id, citation.start) == (chunk.id, start):
                return citation.marker
        marker = str(len(self.citations) + 1)
        quote = chunk.text[support.span.start : support.span.end]
        page = self._page_at(support.hit, start)
        self.citations.append(
            Citation(
                marker, chunk.id, chunk.document_id, support.hit.source, page, start, end, quote,
                round(support.score, 4), chunk.headings,
            )
        )  # fmt: skip
        return marker


def sentences_of(text: str) -> list[str]:
    """Complete sentences and, last, the one that is still being written; joined they are `text`."""
    starts = [span.start for span in sentence_spans(text)][1:]
    bounds = [0, *starts, len(text)]
    return [text[a:b] for a, b in pairwise(bounds)]


def without_markers(text: str) -> str:
    """`text` without what looks like our markers, also when taking one out makes another."""
    while (rest := _MODEL_MARKER.sub("", text)) != text:
        text = rest
    return text
