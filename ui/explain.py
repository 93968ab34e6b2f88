"""Why these passages: the way of each candidate through the search, and what of it the model was given to read."""

from collections.abc import Sequence
from dataclasses import dataclass

from index.explanation import Explained, Explanation, Standing
from rag.packing import Packing
from ui.safe import Html, block, join, name, span
from ui.sources import decimal, file_name, hit_where
from ui.texts import Texts, grouped

# Candidates that are shown behind those that were found.
_NEXT = 3
_TEASER_CHARACTERS = 180
_STEP_PERCENT = 5
_STAGES = ("dense", "lexical", "fused", "reranked")


@dataclass(frozen=True, slots=True)
class Reasons:
    """The explanation of a search and how the prompt of its answer filled up."""

    explanation: Explanation
    packing: Packing


def reasons_html(reasons: Reasons, texts: Texts) -> Html:
    """From how many passages to how few, then the way of those that were found and of the next ones."""
    explanation = reasons.explanation
    lost = [each for each in explanation.candidates if each.rank is None]
    scales = {stage: _scale(explanation.candidates, stage) for stage in _STAGES}
    ways = (_way(each, scales, reasons.packing, texts) for each in (*explanation.taken, *lost[:_NEXT]))
    return block("fu-why", _funnel(reasons, texts), join(ways), _budget(reasons.packing, texts))


def _funnel(reasons: Reasons, texts: Texts) -> Html:
    explanation = reasons.explanation
    steps = [
        (explanation.searched, texts.why_searched),
        (len(explanation.candidates), texts.why_candidates),
        (explanation.compared, texts.why_compared),
        (len(explanation.taken), texts.why_found),
        (len(reasons.packing.kept), texts.why_read),
    ]
    # Where the first was far ahead, none was compared anew.
    drawn = (block("fu-step", span("fu-step-number", grouped(count)), label) for count, label in steps if count)
    return block("fu-funnel", *drawn)


def _way(each: Explained, scales: dict[str, tuple[float, float]], packing: Packing, texts: Texts) -> Html:
    chunk = each.hit.chunk
    head = block(
        "fu-hit-head",
        span("fu-rank", texts.rank.format(number=each.rank) if each.rank else "–"),
        name(file_name(each.hit.source)),
        span("fu-where", hit_where(each.hit, texts)),
    )
    bars = [_bar(stage, getattr(each, stage), scales[stage], texts) for stage in _STAGES]
    teaser = block("fu-way-text", " ".join(chunk.text[:_TEASER_CHARACTERS].split()))
    read = each.hit.chunk.id in {passage.hit.chunk.id for passage in packing.kept}
    outcome = span("fu-outcome" if read else "fu-outcome fu-unread", _outcome(each, packing, texts))
    return block("fu-way" if each.rank else "fu-way fu-lost", head, teaser, block("fu-bars", *bars), outcome)


def _bar(stage: str, standing: Standing | None, scale: tuple[float, float], texts: Texts) -> Html:
    label = span("fu-bar-name", getattr(texts, f"why_{stage}"))
    if standing is None:
        return join((label, span("fu-bar"), span("fu-bar-value", "–")))
    low, high = scale
    share = (standing.score - low) / (high - low) if high > low else 1.0
    steps = max(1, round(share * 100 / _STEP_PERCENT))
    told = f"{texts.rank.format(number=standing.rank)} · {decimal(standing.score, texts)}"
    return join((label, span("fu-bar", span(f"fu-w-{steps * _STEP_PERCENT}")), span("fu-bar-value", told)))


def _scale(candidates: Sequence[Explained], stage: str) -> tuple[float, float]:
    """The lowest and the highest score that a stage gave."""
    scores = [standing.score for each in candidates if (standing := getattr(each, stage)) is not None]
    return (min(scores), max(scores)) if scores else (0.0, 0.0)


def _outcome(each: Explained, packing: Packing, texts: Texts) -> str:
    if each.rank is None:
        return getattr(texts, f"why_lost_{each.fate.replace(' ', '_')}")  # type: ignore[no-any-return]
    for passage in packing.passages:
        if passage.hit.chunk.id == each.hit.chunk.id:
            words = texts.why_in_prompt if passage in packing.kept else texts.why_no_room
            return words.format(tokens=grouped(passage.tokens))
    if each.hit.chunk.id in {hit.chunk.id for hit in packing.trailing}:
        return texts.why_far_behind
    return texts.why_found


def _budget(packing: Packing, texts: Texts) -> Html:
    used = packing.kept[-1].total if packing.kept else packing.frame
    steps = max(1, min(100 // _STEP_PERCENT, round(used / packing.budget * 100 / _STEP_PERCENT)))
    told = texts.why_budget.format(used=grouped(used), budget=grouped(packing.budget))
    return block("fu-budget", span("fu-bar", span(f"fu-w-{steps * _STEP_PERCENT}")), span("fu-bar-value", told))
