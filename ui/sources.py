"""The evidence of an answer: each citation in its context, and the passages it was chosen from."""

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

DocumentOf = Callable[[str], Document | None]


@dataclass(frozen=True, slots=True)
class Source:
    """A citation with the text around its quote: `before + quote + after` stands in the document."""

    marker: str
    path: str
    page: int | None
    headings: tuple[str, ...]
    before: str
    quote: str
    after: str
    support: float


def sources_of(answer: Answer, document_of: DocumentOf) -> tuple[Source, ...]:
    """The sources of an answer in the order of their markers."""
    headings = {hit.chunk.id: hit.chunk.headings for hit in answer.hits}
    return tuple(
        _source(citation, headings.get(citation.chunk_id, ()), document_of(citation.document_id))
        for citation in answer.citations
    )


def _source(citation: Citation, headings: tuple[str, ...], document: Document | None) -> Source:
    before, after = ("", "") if document is None else around(document.text, citation.start, citation.end)
    return Source(
        citation.marker, citation.source, citation.page, headings, before, citation.quote, after, citation.support
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


def sources_html(sources: Sequence[Source], turn: int, texts: Texts, *, expand: bool) -> Html:
    """Numbered cards; with `expand` the first one is open."""
    cards = [
        _card(source, anchor(turn, number), texts, is_open=expand and number == 0)
        for number, source in enumerate(sources)
    ]
    return block("fu-sources", block("fu-label", texts.sources), *cards)


def anchor(turn: int, number: int) -> str:
    """Where a marker of an answer leads."""
    return f"turn-{turn}-source-{number + 1}"


def _card(source: Source, identifier: str, texts: Texts, *, is_open: bool) -> Html:
    where = _where(source.page, source.headings, texts)
    passage = tag("blockquote", source.before, tag("mark", source.quote), source.after, class_="fu-passage")
    support = texts.support.format(percent=round(100 * source.support))
    return tag(
        "details",
        tag(
            "summary",
            span("fu-number", source.marker),
            span("fu-heading", name(file_name(source.path)), span("fu-where", where)),
            span("fu-teaser", source.quote),
        ),
        passage,
        block("fu-foot", span("fu-support", support), name(source.path, "fu-path")),
        class_="fu-card",
        id=identifier,
        **({"open": "open"} if is_open else {}),
    )


def nearest_html(hits: Sequence[Hit], texts: Texts) -> Html:
    """What came closest when the documents do not hold the answer."""
    cards = [
        tag(
            "details",
            tag(
                "summary",
                span("fu-number fu-number-quiet", str(hit.rank)),
                span("fu-heading", name(file_name(hit.source)), span("fu-where", _hit_where(hit, texts))),
                span("fu-teaser", hit.chunk.text),
            ),
            tag("blockquote", hit.chunk.text, class_="fu-passage"),
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
            span("fu-where", _hit_where(hit, texts)),
        ),
        block("fu-scores", scores),
        block("fu-passage", hit.chunk.text),
    )


def _hit_where(hit: Hit, texts: Texts) -> str:
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
