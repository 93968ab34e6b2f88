"""What every extract promises, checked before anything relies on it."""

from collections.abc import Iterable, Sequence

from ingest.readers.text_builder import clean_text
from ingest.types import Extract, Page, Span

MAX_LEVEL = 6
MAX_PAGE = 2**31 - 1


def broken_rule(extract: Extract) -> str | None:
    """The first promise of `Extract` that this one breaks, or None."""
    text = extract.text
    titles = (heading.title for heading in extract.headings)
    if any(clean_text(said) != said for said in (text, *titles, *extract.metadata, *extract.metadata.values())):
        return "the text has control characters"
    if any(not 1 <= heading.level <= MAX_LEVEL for heading in extract.headings):
        return "a heading has a level that there is not"
    if not _ordered(extract.blocks, len(text)):
        return "blocks overlap or lie outside the text"
    starts = [heading.start for heading in extract.headings]
    if starts != sorted(starts) or any(not 0 <= start < len(text) for start in starts):
        return "headings are not in order or lie outside the text"
    if extract.pages and not _ordered(extract.pages, len(text)):
        return "pages overlap or lie outside the text"
    if any(not 1 <= page.number <= MAX_PAGE for page in extract.pages):
        return "a page has a number that there is not"
    if any(text[start:end].strip() for start, end in _outside(extract.pages, len(text))):
        return "text stands outside the pages"
    return None


def _ordered(ranges: Sequence[Span | Page], length: int) -> bool:
    at = 0
    for span in ranges:
        if not at <= span.start <= span.end <= length:
            return False
        at = span.end
    return True


def _outside(pages: Sequence[Page], length: int) -> Iterable[tuple[int, int]]:
    if not pages:
        return
    at = 0
    for page in pages:
        yield at, page.start
        at = page.end
    yield at, length
