"""Charts of what a measurement found, as specifications that the browser draws."""

from typing import Any

from rag.evaluation.curves import DENSE, FUSED, LEXICAL, RERANKED, Curves
from ui.texts import Texts

# Those of the figures that the command line draws: told apart by colour-blind people too.
_COLOURS = {DENSE: "#3f6fae", LEXICAL: "#c8811a", FUSED: "#8a3b6b", RERANKED: "#12908a"}
_OTHER = "#9b988e"
_SHARES = {"both": "#12908a", "dense only": "#3f6fae", "lexical only": "#c8811a", "none": "#9b988e"}
_PERCENT = ".0%"
# Of shares that lie close together.
_FINE_PERCENT = ".1~%"
_LEGEND = {"orient": "bottom", "columns": 2, "labelLimit": 320, "symbolOpacity": 1, "symbolType": "circle"}


def recall_chart(curves: Curves, texts: Texts) -> dict[str, Any]:
    """The share of questions with an answer among the first k passages, stage by stage, with its interval."""
    names = _stage_names(texts)
    rows = [
        {"k": point.k, "recall": point.recall, "low": point.low, "high": point.high, "stage": names[stage]}
        for stage, points in curves.recall.items()
        for point in points
    ]
    scale = {"domain": [names[stage] for stage in curves.recall], "range": [_COLOURS[s] for s in curves.recall]}
    x = {"field": "k", "type": "ordinal", "title": texts.eval_axis_k, "axis": {"labelAngle": 0}}
    colour = {"field": "stage", "type": "nominal", "title": None, "scale": scale, "legend": _LEGEND}
    share = {"type": "quantitative", "scale": {"zero": False}, "axis": {"format": _PERCENT}, "title": None}
    return {
        "data": {"values": rows},
        "height": 380,
        "encoding": {"x": x, "color": colour},
        "layer": [
            {
                "mark": {"type": "area", "opacity": 0.12},
                "encoding": {"y": {"field": "low", **share}, "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "line", "strokeWidth": 2.5, "point": {"size": 55, "filled": True}},
                "encoding": {"y": {"field": "recall", **share}, "tooltip": _tooltip(texts)},
            },
        ],
    }


def channels_chart(curves: Curves, texts: Texts) -> dict[str, Any]:
    """Which channel has the answer among its first passages: both, one of them alone, or none; one bar."""
    words = (texts.eval_both, texts.eval_dense_only, texts.eval_lexical_only, texts.eval_none)
    names = {key: f"{word} · {round(100 * curves.channels[key])} %" for key, word in zip(_SHARES, words, strict=True)}
    rows = [{"channel": names[key], "share": curves.channels[key], "order": place} for place, key in enumerate(_SHARES)]
    scale = {"domain": list(names.values()), "range": list(_SHARES.values())}
    return {
        "data": {"values": rows},
        "height": 150,
        "mark": {"type": "bar", "cornerRadius": 3},
        "encoding": {
            "x": {
                "field": "share",
                "type": "quantitative",
                "stack": "normalize",
                "title": None,
                "axis": {"format": _PERCENT},
            },
            "order": {"field": "order"},
            "color": {
                "field": "channel",
                "type": "nominal",
                "title": None,
                "scale": scale,
                "legend": _LEGEND,
            },
            "tooltip": [
                {"field": "channel", "title": texts.eval_found_by},
                {"field": "share", "format": ".1%", "title": texts.eval_questions},
            ],
        },
    }


def latency_chart(curves: Curves, texts: Texts) -> dict[str, Any]:
    """What each way of searching finds, and what it costs; the axis of time is logarithmic."""
    names = _stage_names(texts)
    rows = [
        {
            "way": names.get(way.name, way.name),
            "recall": way.recall,
            "ms": way.milliseconds,
            "colour": _COLOURS.get(way.name, _OTHER),
        }
        for way in curves.ways
    ]
    x = {
        "field": "ms",
        "type": "quantitative",
        "scale": {"type": "log", "nice": True},
        "title": texts.eval_axis_ms,
        "axis": {"format": "~g", "tickCount": 5, "grid": False},
    }
    y = {
        "field": "recall",
        "type": "quantitative",
        "scale": {"zero": False, "padding": 16},
        "axis": {"format": _FINE_PERCENT, "tickCount": 5},
        "title": None,
    }
    return {
        "data": {"values": rows},
        "height": 340,
        "encoding": {"x": x, "y": y},
        "layer": [
            {
                "mark": {"type": "circle", "size": 150, "opacity": 1},
                "encoding": {
                    "color": {"field": "colour", "type": "nominal", "scale": None},
                    "tooltip": [
                        {"field": "way", "title": texts.eval_way},
                        {"field": "recall", "format": ".1%", "title": texts.eval_found},
                        {"field": "ms", "format": ".1f", "title": "ms"},
                    ],
                },
            },
            {
                # Ways of the mix lie close together; the tooltip names them.
                "transform": [{"filter": f"datum.colour != '{_OTHER}'"}],
                "mark": {"type": "text", "dy": -14, "fontSize": 12},
                "encoding": {"text": {"field": "way"}, "color": {"field": "colour", "type": "nominal", "scale": None}},
            },
        ],
    }


def _stage_names(texts: Texts) -> dict[str, str]:
    return {
        DENSE: texts.eval_dense,
        LEXICAL: texts.eval_lexical,
        FUSED: texts.eval_fused,
        RERANKED: texts.eval_reranked,
    }


def _tooltip(texts: Texts) -> list[dict[str, str]]:
    return [
        {"field": "stage", "title": texts.eval_way},
        {"field": "k", "title": texts.eval_axis_k},
        {"field": "recall", "format": ".1%", "title": texts.eval_found},
    ]
