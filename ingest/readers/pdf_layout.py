"""From the placed lines of PDF pages to paragraphs and headings."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

_EDGE_GAP = 1.8
_MIN_RUNNING_PAGES = 3
_RUNNING_SHARE = 0.4  # left and right pages may differ
_HEADING_RATIO = 1.15
_MAX_HEADING_CHARACTERS = 200
_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(
    r"\W*(?:página|pagina|pág\.?|pag\.?|p\.|page|folha|hoja)?\W*#-?\d+(?:\W*(?:de|of|/)?\W*\d+)?\W*",
    re.IGNORECASE,
)
_LONGEST_PAGE_NUMBER = 60  # in a long run of dots and blanks the expression above takes its length squared
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_ITEM = re.compile(r"(?:[•◦▪■●○‣⁃*·–—-]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)])\s")
_HARD_HYPHENS = ("-", "\u2010", "\u00ad")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page: where it begins, ends and stands, in points from the lower left corner."""

    text: str
    left: float
    right: float
    baseline: float
    height: float
    hyphenated: bool = False


class Layout:
    """Reads paragraphs and headings off the pages of one document."""

    def __init__(self, pages: Sequence[Sequence[Line]]) -> None:
        self._body_height = _body_height(line for page in pages for line in page)
        running = _running_lines(pages)
        self._pages = [[line for line in page if (number, line) not in running] for number, page in enumerate(pages)]
        self._vocabulary = frozenset(
            word.casefold() for page in pages for line in page for word in _WORD.findall(line.text)[:-1]
        )
        heights = {_rounded(line) for page in self._pages for line in page if self._is_large(line)}
        self._levels = {height: level for level, height in enumerate(sorted(heights, reverse=True), start=1)}

    def pieces(self, number: int) -> Iterator[tuple[int, str]]:
        """The headings `(level, text)` and paragraphs `(0, text)` of a page."""
        lines = self._pages[number]
        pitch = _pitch(lines)
        for block in _blocks(lines, pitch):
            text = self._joined(block, lines)
            if all(map(self._is_large, block)) and len(text) <= _MAX_HEADING_CHARACTERS:
                yield self._levels[max(map(_rounded, block))], text
            else:
                yield 0, text

    def _is_large(self, line: Line) -> bool:
        return line.height >= _HEADING_RATIO * self._body_height and bool(_WORD.search(line.text))

    def _joined(self, block: Sequence[Line], page: Sequence[Line]) -> str:
        parts = [block[0].text]
        if len(block) == 1:
            return parts[0]
        edge = max(line.right for line in page if abs(line.left - block[0].left) <= line.height)
        edge = max(edge, *(line.right for line in block))
        for above, line in pairwise(block):
            if above.hyphenated or _breaks_word(above, line):
                parts[-1] = parts[-1].rstrip("".join(_HARD_HYPHENS))
                parts.append(self._seam(parts[-1], line.text) + line.text)
            else:
                parts.append((" " if _flows_on(above, line, edge) else "\n") + line.text)
        return "".join(parts)

    def _seam(self, above: str, below: str) -> str:
        """A hyphen that belongs to the word, or nothing when it only marked the line's end.

        The rest of the document decides: a compound that is written whole elsewhere keeps its hyphen.
        """
        first, second = _last_letters(above).casefold(), _last_letters(below[::-1])[::-1].casefold()
        if not first or not second or below[0].isupper():
            return "-"
        compound = f"{first}-{second}" in self._vocabulary and first + second not in self._vocabulary
        return "-" if compound else ""


def _last_letters(text: str) -> str:
    start = len(text)
    while start and text[start - 1].isalpha():
        start -= 1
    return text[start:]


def _body_height(lines: Iterable[Line]) -> float:
    """The height of the type that most characters are set in."""
    counts: dict[float, int] = defaultdict(int)
    for line in lines:
        counts[_rounded(line)] += len(line.text)
    return max(counts, key=lambda height: counts[height], default=0.0)


def _rounded(line: Line) -> float:
    return round(2 * line.height) / 2


def _running_lines(pages: Sequence[Sequence[Line]]) -> set[tuple[int, Line]]:
    """The lines that many pages have at the same place, equal but for a number that counts the pages.

    Equal lines stay on the first page that has them, so that nothing which was only said there is lost.
    """
    places: dict[tuple[str, int], list[tuple[int, Line]]] = defaultdict(list)
    for number, page in enumerate(pages):
        upwards = sorted(page, key=lambda line: line.baseline)
        for line in {*_set_apart(upwards), *_set_apart(upwards[::-1])}:
            places[_pattern(line.text, number), round(line.baseline / 4)].append((number, line))
    needed = max(_MIN_RUNNING_PAGES, _RUNNING_SHARE * len(pages))
    running: set[tuple[int, Line]] = set()
    for (pattern, _), found in places.items():
        if len({number for number, _ in found}) >= needed:
            running.update(found[0 if _is_page_number(pattern) else 1 :])
    return running


def _set_apart(lines: Sequence[Line]) -> Sequence[Line]:
    """The one or two outermost lines, when a gap parts them from the rest as it does headers and footers."""
    for count in (2, 1):
        if len(lines) > count:
            gap = abs(lines[count].baseline - lines[count - 1].baseline)
            if gap >= _EDGE_GAP * lines[count - 1].height:
                return lines[:count]
    return ()


def _pattern(text: str, number: int) -> str:
    """The text, its first number replaced by the distance to the page's, which is constant for page numbers.

    A single word with such a number (`Exercise 3`) is no pattern: it may well be a title.
    """
    first = _DIGITS.search(text)
    if first is None or len(first[0]) > 5:
        return text
    pattern = f"{text[: first.start()]}#{int(first[0]) - number}{text[first.end() :]}"
    return pattern if _is_page_number(pattern) or len(_WORD.findall(text)) > 1 else text


def _is_page_number(pattern: str) -> bool:
    return len(pattern) <= _LONGEST_PAGE_NUMBER and bool(_PAGE_NUMBER.fullmatch(pattern))


def _pitch(lines: Sequence[Line]) -> float:
    """The usual distance of two lines of a paragraph on this page."""
    gaps = [above.baseline - below.baseline for above, below in pairwise(lines)]
    close = [gap for gap, line in zip(gaps, lines, strict=False) if 0.5 * line.height < gap < 2.5 * line.height]
    return median(close) if close else 0.0


def _blocks(lines: Sequence[Line], pitch: float) -> Iterator[list[Line]]:
    """Runs of lines of one type size, close below each other."""
    block: list[Line] = []
    left, right = math.inf, -math.inf
    for line in lines:
        if block and not _belong(block, left, right, line, pitch):
            yield block
            block = []
            left, right = math.inf, -math.inf
        block.append(line)
        left, right = min(left, line.left), max(right, line.right)
    if block:
        yield block


def _belong(block: Sequence[Line], left: float, right: float, line: Line, pitch: float) -> bool:
    """Whether the line goes on with a block that reaches from `left` to `right`."""
    above = block[-1]
    if above.hyphenated:
        return True
    gap = above.baseline - line.baseline
    same_size = abs(above.height - line.height) <= 0.1 * above.height
    overlapping = line.left < right
    indented = len(block) > 1 and line.left - left > 0.8 * line.height
    ends = above.text.endswith((".", ":", "!", "?", "…", "»", "”"))
    close = -0.3 * line.height <= gap <= max(1.25 * pitch, 0.5 * line.height)
    return close and same_size and (overlapping or gap < 0.3 * line.height) and not (indented and ends)


def _flows_on(above: Line, line: Line, edge: float) -> bool:
    """Whether the paragraph goes on: the next word had no room left above, and begins no item."""
    if abs(above.baseline - line.baseline) < 0.3 * line.height:
        return True
    if _ITEM.match(line.text):
        return False
    first_word = line.text.split(maxsplit=1)[0]
    width = (line.right - line.left) / max(len(line.text), 1)
    return above.right + width * (len(first_word) + 1) > edge


def _breaks_word(above: Line, line: Line) -> bool:
    return above.text.endswith(_HARD_HYPHENS) and above.text[-2:-1].isalpha() and line.text[0].islower()
