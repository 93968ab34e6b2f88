"""The evidence of an answer: each citation in its context, and the passages it was chosen from."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from index.types import Hit
from ingest.types import Document
from rag import Answer, Citation
from ui.safe import Html, block, join, name, span, tag
from ui.texts import Texts

# Enough around a quote to judge it, little enough to read at a glance.
_CONTEXT_CHARACTERS = 300
_NEAREST = 3
# Lines of these end where the page or the editor was full. Tables, code and lists keep their lines.
_PROSE = frozenset((".docx", ".epub", ".htm", ".html", ".markdown", ".md", ".odt", ".pdf", ".rst", ".rtf", ".txt"))
_LINE_BREAK = re.compile(r"(?<=[^\n|]{40})\n(?=[^\W\d_])")

DocumentOf = Callable[[str], Document | None]


@dataclass(frozen=True, slots=True)
class Source:
    """A citation with the text around its quote: `before + quote + after` stands in the document.

    `words` are the fewest of the quote that answer; "" where they stand elsewhere.
    """

    marker: str
    path: str
    page: int | None
    headings: tuple[str, ...]
    before: str
    quote: str
    after: str
    support: float
    words: str = ""


def sources_of(answer: Answer, document_of: DocumentOf) -> tuple[Source, ...]:
    """The sources of an answer in the order of their markers."""
    headings = {hit.chunk.id: hit.chunk.headings for hit in answer.hits}
    return tuple(
        _source(citation, headings.get(citation.chunk_id, ()), document_of(citation.document_id), answer.words)
        for citation in answer.citations
    )


def _source(citation: Citation, headings: tuple[str, ...], document: Document | None, words: Sequence[str]) -> Source:
    before, after = ("", "") if document is None else around(document.text, citation.start, citation.end)
    return Source(
        marker=citation.marker,
        path=citation.source,
        page=citation.page,
        headings=headings,
        before=before,
        quote=citation.quote,
        after=after,
        support=citation.support,
        words=next((one for one in words if one in citation.quote), ""),
    )


def around(text: str, start: int, end: int, width: int = _CONTEXT_CHARACTERS) -> tuple[str, str]:
    """Up to `width` characters before and after a range, cut between words."""
    before = text[max(0, start - width) : start]
    if start > width:
        before = before[before.find(" ") + 1 :]
    after = text[end : end + width]
    if end + width < len(text):
        after = after[: after.rfind(" ") + 1] or after
    return before.lstrip(), after.rstrip()


def sources_html(sources: Sequence[Source], turn: int, texts: Texts) -> Html:
    """Numbered cards: the quote, and its context for those who open them."""
    cards = [_card(source, anchor(turn, number), texts) for number, source in enumerate(sources)]
    return block("fu-sources", block("fu-label", texts.sources), *cards)


def anchor(turn: int, number: int) -> str:
    """Where a marker of an answer leads."""
    return f"turn-{turn}-source-{number + 1}"


def _card(source: Source, identifier: str, texts: Texts) -> Html:
    where = _where(source.page, source.headings, texts)
    whole = flowing(source.before + source.quote + source.after, source.path)
    start, end = len(source.before), len(source.before) + len(source.quote)
    # The anchor is inside: a browser that goes there opens the card by itself.
    quote = _quote(whole[start:end], flowing(source.words, source.path))
    passage = tag("blockquote", whole[:start], quote, whole[end:], class_="fu-passage", id=identifier)
    support = texts.support.format(percent=round(100 * source.support))
    return tag(
        "details",
        tag(
            "summary",
            span("fu-number", source.marker),
            span("fu-heading", name(file_name(source.path)), span("fu-where", where)),
            span("fu-teaser", _quote(" ".join(source.quote.split()), " ".join(source.words.split()))),
        ),
        passage,
        block("fu-foot", span("fu-support", support), name(source.path, "fu-path")),
        class_="fu-card",
    )


def _quote(text: str, words: str) -> Html:
    """A quote with the words that answer made stronger."""
    before, found, after = text.partition(words) if words else (text, "", "")
    return tag("mark", before, tag("strong", found) if found else None, after)


def nearest_html(hits: Sequence[Hit], texts: Texts) -> Html:
    """What came closest when the documents do not hold the answer."""
    cards = [
        tag(
            "details",
            tag(
                "summary",
                span("fu-number fu-number-quiet", str(hit.rank)),
                span("fu-heading", name(file_name(hit.source)), span("fu-where", hit_where(hit, texts))),
                span("fu-teaser", " ".join(hit.chunk.text[:_CONTEXT_CHARACTERS].split())),
            ),
            tag("blockquote", flowing(hit.chunk.text, hit.source), class_="fu-passage"),
            class_="fu-card",
        )
        for hit in hits[:_NEAREST]
    ]
    return block("fu-sources", block("fu-label", texts.nearest), *cards)


def passages_html(hits: Sequence[Hit], texts: Texts) -> Html:
    """Every passage that was found, with its scores, behind one line."""
    return tag(
        "details",
        tag("summary", f"{texts.all_passages} ({len(hits)})"),
        join(_passage(hit, texts) for hit in hits),
        class_="fu-all",
    )


def _passage(hit: Hit, texts: Texts) -> Html:
    scores = " · ".join(
        (
            texts.score.format(score=decimal(hit.score, texts)),
            texts.meaning.format(score=decimal(hit.dense, texts)),
            texts.words.format(score=decimal(hit.lexical, texts)),
        )
    )
    return block(
        "fu-hit",
        block(
            "fu-hit-head",
            span("fu-rank", texts.rank.format(number=hit.rank)),
            name(file_name(hit.source)),
            span("fu-where", hit_where(hit, texts)),
        ),
        block("fu-scores", scores),
        block("fu-passage", flowing(hit.chunk.text, hit.source)),
    )


def flowing(text: str, path: str) -> str:
    """`text` of a prose file with the breaks of its lines, but not of its paragraphs, as spaces: equally long."""
    return _LINE_BREAK.sub(" ", text) if PurePath(path).suffix.lower() in _PROSE else text


def hit_where(hit: Hit, texts: Texts) -> str:
    """Page and titles of a passage."""
    return _where(hit.chunk.page, hit.chunk.headings, texts)


def _where(page: int | None, headings: Sequence[str], texts: Texts) -> str:
    path = " › ".join(headings)
    return " · ".join(part for part in (texts.page.format(number=page) if page else "", path) if part)


def file_name(path: str) -> str:
    """The last part of a path, as people call a file."""
    return PurePath(path).name or path


def decimal(value: float, texts: Texts, places: int = 2) -> str:
    """A number with the language's decimal mark."""
    return f"{value:.{places}f}".replace(".", texts.decimal)
