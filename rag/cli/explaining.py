"""How `search --explain` tells why these passages were found and others were not."""

from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from index.explanation import Explained, Explanation, Standing
from rag.cli.rendering import out, place, plain
from rag.packing import Packing

# Candidates that are shown below those that were taken.
_NEXT = 5
_FATES = {
    "taken": "found",
    "filter": "lost: it does not meet the filter",
    "channels": "lost: no channel put it forward (retrieval.candidates)",
    "shortlist": "lost: not promising enough to be compared anew (retrieval.rerank_candidates)",
    "first stage": "lost: others were nearer",
    "second stage": "lost: others were better when compared anew",
    "duplicate": "collapsed: it repeats another",
    "per source": "lost: its document has given its share (retrieval.per_source)",
    "diversity": "lost: one less like the others was preferred (retrieval.diversity)",
}


def explanation_json(explanation: Explanation, packing: Packing | None) -> dict[str, Any]:
    """An explanation as the command line gives it out; without the prompt where its tokens cannot be counted."""
    return {
        "prompt": packing and _packing_json(packing),
        "dense_search": f"{explanation.dense_search.kind}: {explanation.dense_search.reason}",
        "chunks": explanation.chunks,
        "searched": explanation.searched,
        "compared": explanation.compared,
        "lead": explanation.lead,
        "candidates": [_explained_json(each) for each in explanation.candidates],
        "expected": [_explained_json(each) for each in explanation.expected],
    }


def _packing_json(packing: Packing) -> dict[str, Any]:
    passages = [
        {
            "chunk_id": passage.hit.chunk.id,
            "tokens": passage.tokens,
            "total": passage.total,
            "in_prompt": passage in packing.kept,
        }
        for passage in packing.passages
    ]
    return {
        "budget": packing.budget,
        "instructions_and_question": packing.frame,
        "passages": passages,
        "far_behind": [hit.chunk.id for hit in packing.trailing],
    }


def _explained_json(explained: Explained) -> dict[str, Any]:
    chunk = explained.hit.chunk
    stages = ("dense", "lexical", "fused", "promise", "reranked")
    orders: dict[str, Standing | None] = {name: getattr(explained, name) for name in stages}
    return {
        "rank": explained.rank,
        "fate": explained.fate,
        "source": explained.hit.source,
        "page": chunk.page,
        "start": chunk.start,
        "end": chunk.end,
        "chunk_id": chunk.id,
        "coverage": explained.coverage,
        "repeats": explained.repeats,
        **{name: asdict(standing) if standing else None for name, standing in orders.items()},
    }


def print_explanation(explanation: Explanation) -> None:
    """The way of what was found and of what came next, then that of the passages that were expected."""
    lost = [each for each in explanation.candidates if each.rank is None]
    out.print(_table([*explanation.taken, *lost[:_NEXT]]))
    out.print(Text(_summary(explanation), style="dim"))
    for each in explanation.expected:
        out.print(Text.assemble(("\nexpected: ", "bold"), (plain(place(each.hit.source, each.hit.chunk.page)), "cyan")))
        out.print(Text(f"   {plain(' '.join(each.hit.chunk.text.split()))[:160]}", style="dim"))
        out.print(Text(f"   {_FATES[each.fate]}" if each.rank is None else f"   found at rank {each.rank}"))
        out.print(_table([each]))


def print_packing(packing: Packing) -> None:
    """How the prompt fills up, passage by passage."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name, justify in (
        ("", "left"),
        ("in the prompt", "left"),
        ("tokens", "right"),
        ("total", "right"),
        ("", "left"),
    ):
        table.add_column(name, overflow="fold", justify=justify)  # type: ignore[arg-type]
    table.add_row("", "instructions and question", str(packing.frame), str(packing.frame), "")
    kept = len(packing.kept)
    for number, passage in enumerate(packing.passages, 1):
        chunk = passage.hit.chunk
        table.add_row(
            f"[{number}]" if number <= kept else "–",
            Text(f"{plain(place(passage.hit.source, chunk.page))} {chunk.start}–{chunk.end}", style="cyan"),
            str(passage.tokens),
            str(passage.total),
            "" if number <= kept else Text("left out: no room", style="yellow"),
        )
    for hit in packing.trailing:
        where = Text(f"{plain(place(hit.source, hit.chunk.page))} {hit.chunk.start}–{hit.chunk.end}", style="cyan")
        table.add_row("–", where, "", "", Text("left out: far behind the best", style="yellow"))
    out.print()
    out.print(table)
    out.print(Text(f"budget of the prompt: {packing.budget} tokens (generation.prompt_tokens)", style="dim"))


def _table(ways: list[Explained]) -> Table:
    """Ranks with scores in brackets; a dash where a passage has no place in an order."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("", "passage", "dense", "BM25", "fused", "words", "promise", "rerank", "outcome"):
        table.add_column(name, overflow="fold")
    for each in ways:
        chunk = each.hit.chunk
        table.add_row(
            Text("–" if each.rank is None else f"{each.rank}."),
            Text(f"{plain(place(each.hit.source, chunk.page))} {chunk.start}–{chunk.end}", style="cyan"),
            *(Text(_shown(standing)) for standing in (each.dense, each.lexical, each.fused)),
            Text("–" if each.coverage is None else f"{each.coverage:.0%}"),
            *(Text(_shown(standing)) for standing in (each.promise, each.reranked)),
            Text(_FATES[each.fate].partition(" (")[0], style="" if each.rank else "yellow"),
        )
    return table


def _shown(standing: Standing | None) -> str:
    return "–" if standing is None else f"{standing.rank} ({standing.score:.2f})"


def _summary(explanation: Explanation) -> str:
    dense = explanation.dense_search
    told = [f"{explanation.searched} of {explanation.chunks} passages searched", f"{dense.kind}: {dense.reason}"]
    if explanation.lead is not None:
        compared = f"{explanation.compared} compared anew" if explanation.compared else "none compared anew"
        told.append(f"{compared}, as the most promising leads by {explanation.lead:.1f} deviations")
    return "; ".join(told)
