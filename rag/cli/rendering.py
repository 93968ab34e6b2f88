"""What commands print. Documents and answers are untrusted, so control characters never reach the terminal."""

import json
import re
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from index.types import DEFAULT_COLLECTION, Hit
from rag.phrases import phrases
from rag.types import Answer

out = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
notes = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)

# All of C0 and C1 except newline and tab: an escape sequence in a document could rewrite the screen.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """`text` without control characters and direction overrides."""
    return _CONTROL.sub("", text)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """One JSON object on standard output; control characters are escaped, so that nothing is lost."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    sys.stdout.write(_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
    sys.stdout.flush()  # a reader of a pipe wants each object when it is told


def channels_json(hit: Hit) -> dict[str, float | None]:
    """What each channel and the reranker found of a hit, as the command line gives it out."""
    rerank = None if hit.rerank is None else round(hit.rerank, 4)
    return {"cosine": round(hit.dense, 4), "bm25": round(hit.lexical, 4), "rerank": rerank}


def print_hits(hits: list[Hit], *, explain: bool = False) -> None:
    """Hits for reading: where each is from, then its text; with `explain` what each channel found of it."""
    for hit in hits:
        where = place(hit.source, hit.chunk.page)
        of = "" if hit.collection == DEFAULT_COLLECTION else f"  {plain(hit.collection)}"
        out.print(Text.assemble((f"{hit.rank}. ", "bold"), (plain(where), "cyan"), of, (f"  {hit.score:.3f}", "dim")))
        if explain:
            found = "  ".join(f"{name} {value}" for name, value in channels_json(hit).items() if value is not None)
            out.print(Text(f"   {hit.channel}: {found}", style="dim"))
        if hit.duplicates:
            copies = dict.fromkeys(place(copy.source, copy.chunk.page) for copy in hit.duplicates)
            out.print(Text(f"   also in {plain(', '.join(copies))}", style="dim"))
        for title in hit.chunk.headings[-1:]:
            out.print(Text(f"   {plain(title)}", style="italic"))
        out.print(Text(_indented(plain(hit.chunk.text))))
        out.print()


def print_sources(answer: Answer) -> None:
    """The numbered sources of an answer, each with its quote; the nearest passages when it abstained."""
    out.print()
    for citation in answer.citations:
        where = place(citation.source, citation.page)
        out.print(Text.assemble((f"[{citation.marker}] ", "bold"), (plain(where), "cyan")))
        out.print(Text(_indented(f"“{plain(' '.join(citation.quote.split()))}”"), style="dim"))
    if answer.unsure:
        names = plain(", ".join(answer.unsure))
        out.print(Text(f"[?] {phrases(answer.language).unsure.format(names=names)}", style="yellow"))
    if answer.unsupported:
        out.print(Text(f"[!] {phrases(answer.language).unsupported}", style="yellow"))
    if answer.abstained and answer.hits:
        nearest = ", ".join(dict.fromkeys(place(hit.source, hit.chunk.page) for hit in answer.hits))
        out.print(Text(f"({plain(nearest)})", style="dim"))
    if answer.other_language:
        notes.print(f"The model answered in {answer.other_language}, though it was asked twice for {answer.language}")
    if answer.usage.dropped_passages:
        notes.print(f"{answer.usage.dropped_passages} passages did not fit into generation.prompt_tokens")
    seconds = answer.timings_s.get("total", 0.0)
    notes.print(Text(f"{answer.model} · {seconds:.1f} s · confidence {answer.confidence:.2f}", style="dim"))


def place(source: str, page: int | None) -> str:
    """A source as a person names it: relative to this folder when it lies in it, with its page."""
    path = Path(source)
    shown = str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else source
    return f"{shown}, p. {page}" if page is not None else shown


def size(size_bytes: int) -> str:
    """A number of bytes for reading, such as 1.2 GB."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("the loop ends at GB")


def _indented(text: str) -> str:
    return "\n".join(f"   {line}" for line in text.splitlines())
