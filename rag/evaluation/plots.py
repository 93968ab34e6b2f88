"""Figures as PNG files: every figure has one look, made by `new_figure`, and one function that takes its data."""

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.evaluation.abstention import BoolArray, FloatArray, RiskCoveragePoint, risk_coverage
from rag.evaluation.calibration import Bin, reliability
from rag.evaluation.curves import DENSE, FUSED, LEXICAL, RERANKED, Curves
from rag.evaluation.errors import ExtraMissingError
from rag.evaluation.tuning import Tuned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER, INK, QUIET, LINE = "#fcfbf8", "#23292b", "#6a716f", "#e2ded3"
# Told apart by colour-blind people too, and by their markers.
TEAL, OCHRE, BLUE, PLUM, GREY = "#12706b", "#c8811a", "#3f6fae", "#8a3b6b", "#b9b6ac"
_STAGES = {
    DENSE: (BLUE, "dense alone", "s"),
    LEXICAL: (OCHRE, "lexical alone", "^"),
    FUSED: (PLUM, "fused", "D"),
    RERANKED: (TEAL, "fused, then reranked", "o"),
}
_SHARES = {"both": TEAL, "dense only": BLUE, "lexical only": OCHRE, "none": GREY}
_SIZE_INCHES = (7.0, 4.4)
_DOTS_PER_INCH = 160
_FEWEST_TRIED = 20


def new_figure(title: str, x_label: str, y_label: str) -> tuple["Figure", "Axes"]:
    """An empty figure in the common style and its axes. Raises: ExtraMissingError."""
    figure = figure_class()(figsize=_SIZE_INCHES, layout="constrained", facecolor=PAPER)
    axes = figure.subplots()
    axes.set_facecolor(PAPER)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, pad=14)
    axes.set_xlabel(x_label, color=QUIET)
    axes.set_ylabel(y_label, color=QUIET)
    axes.grid(color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=QUIET, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    return figure, axes


def as_percent(axis: Any) -> None:
    """Shows the shares of an axis in percent."""
    axis.set_major_formatter(import_module("matplotlib.ticker").PercentFormatter(1.0, decimals=None))


def recall_by_k(curves: Curves) -> "Figure":
    """The share of questions with an answer among the first k passages, stage by stage, with its interval."""
    title = f"Recall by number of passages · {curves.questions} questions"
    figure, axes = new_figure(title, "passages (k)", "questions with an answer among them")
    for stage, points in curves.recall.items():
        colour, label, marker = _STAGES[stage]
        depths = [point.k for point in points]
        axes.plot(depths, [point.recall for point in points], color=colour, marker=marker, ms=5, lw=1.8, label=label)
        lows, highs = [point.low for point in points], [point.high for point in points]
        axes.fill_between(depths, lows, highs, color=colour, alpha=0.10, linewidth=0)
    axes.set_xticks(range(1, len(depths) + 1))
    as_percent(axes.yaxis)
    axes.legend(loc="lower right", frameon=False, labelcolor=INK)
    return figure


def channel_shares(curves: Curves) -> "Figure":
    """Which channel has the answer among its first k passages: both, one of them alone, or none."""
    title = f"Which channel finds the answer in its first {curves.k} · {curves.questions} questions"
    figure, axes = new_figure(title, "share of questions", "")
    bars = axes.barh(list(_SHARES), [curves.channels[name] for name in _SHARES], color=list(_SHARES.values()))
    axes.bar_label(bars, [f"{curves.channels[name]:.1%}" for name in _SHARES], padding=5, color=INK)
    axes.set_xlim(0, 1.12)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
    as_percent(axes.xaxis)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", labelcolor=INK)
    return figure


def latency_against_recall(curves: Curves) -> "Figure":
    """What each way of searching finds, and what it costs; the axis of time is logarithmic."""
    title = f"Time against recall · {curves.questions} questions"
    label = f"questions with an answer in {curves.k} passages"
    figure, axes = new_figure(title, "median time of a search (ms)", label)
    for number, way in enumerate(sorted(curves.ways, key=lambda one: one.recall)):
        colour, _, marker = _STAGES.get(way.name, (GREY, way.name, "o"))
        axes.scatter(way.milliseconds, way.recall, color=colour, marker=marker, s=60, zorder=3)
        # Alternately on both sides, as several ways find nearly the same in nearly the same time.
        side = ((9, "left"), (-9, "right"))[number % 2]
        place = (way.milliseconds, way.recall)
        axes.annotate(
            way.name, place, xytext=(side[0], -3), textcoords="offset points", ha=side[1], color=INK, fontsize=9
        )
    axes.set_xscale("log")
    ticker = import_module("matplotlib.ticker")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.minorticks_off()
    axes.margins(x=0.25, y=0.15)
    as_percent(axes.yaxis)
    return figure


def trials(tuned: Tuned) -> "Figure":
    """What each trial found on the tuning half, and the best so far; the first one is the configuration before."""
    title = f"Settings tried · {tuned.tuned_on} questions to tune on"
    figure, axes = new_figure(title, "trial", "MRR@10")
    values = np.array([value for _, value in tuned.tried])
    numbers = np.arange(len(values))
    axes.scatter(numbers, values, color=GREY, s=22, label="one trial", zorder=2)
    axes.step(
        numbers, np.maximum.accumulate(values), where="post", color=TEAL, lw=2.0, label="the best so far", zorder=3
    )
    axes.axhline(values[0], color=OCHRE, lw=1.2, linestyle=(0, (5, 3)), label="before", zorder=1)
    axes.legend(loc="best", frameon=False, labelcolor=INK)
    return figure


def gain(tuned: Tuned) -> "Figure":
    """Before and after on the questions held back, with their intervals."""
    title = f"Before and after · {tuned.held_back} questions held back"
    figure, axes = new_figure(title, "", "")
    rows = {
        "MRR@10": (tuned.before, tuned.after),
        f"recall@{tuned.before_k} → recall@{tuned.k}": (tuned.recall_before, tuned.recall_after),
    }
    for place, pair in enumerate(rows.values()):
        for shift, colour, label, interval in ((-0.12, OCHRE, "before", pair[0]), (0.12, TEAL, "after", pair[1])):
            axes.plot([interval.low, interval.high], [place + shift] * 2, color=colour, lw=3.0, alpha=0.35)
            axes.plot(interval.value, place + shift, "o", color=colour, ms=8, label=None if place else label)
            axes.annotate(
                f"{interval.value:.3f}", (interval.value, place + shift), xytext=(0, -14 if shift < 0 else 9),
                textcoords="offset points", ha="center", color=INK, fontsize=9,
            )  # fmt: skip
    axes.set_yticks(range(len(rows)), list(rows), color=INK)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.15)
    axes.legend(loc="lower left", frameon=False, labelcolor=INK, ncols=2)
    return figure


def reliability_diagram(bins: Sequence[Bin], title: str) -> "Figure":
    """What came true of each confidence: on the diagonal it means what it says."""
    figure, axes = new_figure(title, "confidence, fitted on other articles", "questions that have an answer")
    axes.plot([0, 1], [0, 1], color=GREY, lw=1.2, ls="--", label="as it says")
    confidences, shares = [one.confidence for one in bins], [one.answerable for one in bins]
    axes.plot(confidences, shares, color=TEAL, marker="o", ms=6, lw=1.8, label="as it came true")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    as_percent(axes.xaxis)
    as_percent(axes.yaxis)
    axes.legend(loc="upper left", frameon=False, labelcolor=INK)
    return figure


def risk_coverage_curve(points: Sequence[RiskCoveragePoint], title: str) -> "Figure":
    """How many of the tried questions have no answer, by the share of questions that is tried."""
    figure, axes = new_figure(title, "questions that are tried", "of these, without an answer")
    axes.plot([point.coverage for point in points], [point.risk for point in points], color=TEAL, lw=1.8)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    as_percent(axes.xaxis)
    as_percent(axes.yaxis)
    return figure


def write_confidence_plots(confidences: FloatArray, answerable: BoolArray, folder: Path, title: str) -> list[Path]:
    """Writes reliability.png and risk_coverage.png; their paths. Raises: ExtraMissingError."""
    points = risk_coverage(confidences, (~answerable).astype(np.float64))
    # The share among a handful jumps up and down and says nothing.
    points = [point for point in points if point.coverage * len(confidences) >= _FEWEST_TRIED]
    drawn = {
        "reliability": reliability_diagram(reliability(confidences, answerable), f"Reliability · {title}"),
        "risk_coverage": risk_coverage_curve(points, f"Risk against coverage · {title}"),
    }
    return [save_png(figure, folder / f"{name}.png") for name, figure in drawn.items()]


def save_png(figure: "Figure", path: Path) -> Path:
    """Writes a figure; the same data make the same bytes. Returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return path


def write_plots(curves: Curves, folder: Path) -> list[Path]:
    """Writes recall.png, channels.png, latency.png and their data as curves.json; their paths.

    Raises: ExtraMissingError.
    """
    drawn = {"recall": recall_by_k, "channels": channel_shares, "latency": latency_against_recall}
    written = [save_png(draw(curves), folder / f"{name}.png") for name, draw in drawn.items()]
    data = folder / "curves.json"
    data.write_text(json.dumps(curves.as_json(), indent=1) + "\n", encoding="utf-8")
    return [*written, data]


def write_tuning_plots(tuned: Tuned, folder: Path) -> list[Path]:
    """Writes trials.png and gain.png; their paths. Raises: ExtraMissingError."""
    return [save_png(draw(tuned), folder / f"{name}.png") for name, draw in {"trials": trials, "gain": gain}.items()]


def figure_class() -> Any:
    """The class of figures; it draws without a window. Raises: ExtraMissingError."""
    try:
        return import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise ExtraMissingError("drawing", "matplotlib", "plots") from error
