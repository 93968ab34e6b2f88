"""The figures about retrieval as PNG files."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from rag.evaluation.curves import CONFIGURED, Curves
from rag.evaluation.errors import ExtraMissingError

# Of Okabe and Ito's palette, which colour-blind people tell apart.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072b2", "#d55e00", "#009e73", "#8a8a8a"
_LINES = {
    CONFIGURED: (_BLUE, "as configured", "-", "o"),
    "dense": (_ORANGE, "dense alone", "--", "s"),
    "lexical": (_GREEN, "lexical alone", ":", "^"),
}
_SHARES = {"both": _BLUE, "dense only": _ORANGE, "lexical only": _GREEN, "none": _GREY}


def write_plots(curves: Curves, folder: Path) -> list[Path]:
    """Writes recall.png, channels.png, latency.png and their data as curves.json; their paths.

    Raises: ExtraMissingError.
    """
    figure_class = figures()
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in (("recall", _recall), ("channels", _channels), ("latency", _latency)):
        figure = figure_class(figsize=(6.4, 4.2), layout="constrained")
        draw(figure.subplots(), curves)
        written.append(folder / f"{name}.png")
        figure.savefig(written[-1], dpi=150)
    written.append(folder / "curves.json")
    written[-1].write_text(json.dumps(curves.as_json(), indent=1) + "\n", encoding="utf-8")
    return written


def figures() -> Any:
    """The class of figures. Raises: ExtraMissingError."""
    try:
        return import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise ExtraMissingError("drawing", "matplotlib", "plots") from error


def _recall(axes: Any, curves: Curves) -> None:
    for name, (colour, label, style, marker) in _LINES.items():
        points = curves.recall[name]
        depths = [point.k for point in points]
        axes.plot(depths, [point.recall for point in points], style, color=colour, marker=marker, label=label, ms=4)
        lows, highs = [point.low for point in points], [point.high for point in points]
        axes.fill_between(depths, lows, highs, color=colour, alpha=0.12, linewidth=0)
    axes.set(xlabel="passages (k)", ylabel="questions with an answer among them", xticks=range(1, len(depths) + 1))
    axes.set_ylim(top=1.005)
    axes.set_title(f"Recall by number of passages, {curves.questions} questions")
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right")


def _channels(axes: Any, curves: Curves) -> None:
    names = list(_SHARES)
    shares = [curves.channels[name] for name in names]
    bars = axes.barh(names, shares, color=list(_SHARES.values()))
    axes.bar_label(bars, [f"{share:.1%}" for share in shares], padding=4)
    axes.set(xlim=(0, 1.12), xlabel="share of questions")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
    axes.invert_yaxis()
    axes.set_title(f"Which channel has the answer among its first {curves.k}, {curves.questions} questions")
    axes.spines[["top", "right"]].set_visible(False)


def _latency(axes: Any, curves: Curves) -> None:
    for point in curves.settings:
        is_configured = point.name == CONFIGURED
        colour, marker, size = (_ORANGE, "*", 160) if is_configured else (_BLUE, "o", 36)
        axes.scatter(point.milliseconds, point.recall, color=colour, marker=marker, s=size, zorder=3 - is_configured)
        axes.annotate(point.name, (point.milliseconds, point.recall), xytext=(5, 4), textcoords="offset points")
    axes.set(xlabel="median time of a search (ms)", ylabel=f"questions with an answer among {curves.k} passages")
    axes.set_xlim(left=0)
    axes.margins(x=0.2, y=0.15)
    axes.set_title(f"Time against recall, {curves.questions} questions")
    axes.grid(alpha=0.25)
