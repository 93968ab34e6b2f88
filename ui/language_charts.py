"""Pictures of what language models do, as specifications that the browser draws."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

_ACCENT, _QUIET = "#12706b", "#c9c5b8"
CELL = 15
"""Pixels that a cell of attention is high, and wide where the page is wide enough."""


def probabilities_chart(names: Sequence[str], before: Sequence[float], after: Sequence[float]) -> dict[str, Any]:
    """What each of some tokens was given by the model, and what it is drawn by."""
    rows = [
        {"token": name, "place": place, "before": one, "after": other}
        for place, (name, one, other) in enumerate(zip(names, before, after, strict=True))
    ]
    x = {
        "field": "token",
        "type": "ordinal",
        "sort": {"field": "place"},
        "title": None,
        "axis": {"labelAngle": 0, "labelFontSize": 14, "ticks": False},
    }
    share = {"type": "quantitative", "axis": {"format": ".0%", "tickCount": 4}, "title": None}
    return {
        "data": {"values": rows},
        "height": 210,
        "encoding": {
            "x": x,
            "tooltip": [{"field": "before", "format": ".1%"}, {"field": "after", "format": ".1%"}],
        },
        "layer": [
            {
                "mark": {"type": "bar", "color": _QUIET, "width": {"band": 0.8}, "cornerRadiusEnd": 2},
                "encoding": {"y": {"field": "before", **share}},
            },
            {
                "mark": {"type": "bar", "color": _ACCENT, "width": {"band": 0.45}, "cornerRadiusEnd": 2},
                "encoding": {"y": {"field": "after", **share}},
            },
        ],
    }


def guesses_chart(guesses: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """The likeliest tokens of one place, the likeliest on top."""
    rows = [{"token": name, "place": place, "share": value} for place, (name, value) in enumerate(guesses)]
    return {
        "data": {"values": rows},
        "height": {"step": 26},
        "encoding": {
            "y": {
                "field": "token",
                "type": "ordinal",
                "sort": {"field": "place"},
                "title": None,
                "axis": {"labelFontSize": 14, "ticks": False, "domain": False},
            },
            "x": {"field": "share", "type": "quantitative", "axis": None, "scale": {"domain": [0, 1.15]}},
        },
        "layer": [
            {"mark": {"type": "bar", "color": _ACCENT, "cornerRadiusEnd": 3}},
            {
                "mark": {"type": "text", "align": "left", "dx": 6},
                "encoding": {"text": {"field": "share", "format": ".0%"}},
            },
        ],
    }


def attention_chart(weights: Tensor, rows: Sequence[str], columns: Sequence[str]) -> dict[str, Any]:
    """How much each of the rows looks at each of the columns, (R, C); darker is more."""
    values = weights.tolist()
    cells = [
        {"row": row, "column": column, "weight": round(value, 4), "from": rows[row], "to": columns[column]}
        for row, line in enumerate(values)
        for column, value in enumerate(line)
        if value > 0.002
    ]
    names = [{"row": row, "column": -1, "name": name} for row, name in enumerate(rows)]
    names += [{"row": -1, "column": column, "name": name} for column, name in enumerate(columns)]
    x = {"field": "column", "type": "ordinal", "axis": None, "scale": {"domain": list(range(-1, len(columns)))}}
    y = {"field": "row", "type": "ordinal", "axis": None, "scale": {"domain": list(range(-1, len(rows)))}}
    colour = {"field": "weight", "type": "quantitative", "legend": None, "scale": {"range": ["#eef3ef", "#0b4f4b"]}}
    told = [{"field": "from"}, {"field": "to"}, {"field": "weight", "format": ".2f"}]
    return {
        "height": {"step": CELL},
        "layer": [
            {
                "data": {"values": cells},
                "mark": {"type": "rect", "cornerRadius": 2},
                "encoding": {"x": x, "y": y, "color": colour, "tooltip": told},
            },
            {
                "data": {"values": names},
                "mark": {"type": "text", "fontSize": 11},
                "encoding": {"x": x, "y": y, "text": {"field": "name"}},
            },
        ],
        "config": {"view": {"stroke": None}},
    }


def visible_token(token: str) -> str:
    """A token with its spaces and line ends to be seen."""
    return token.replace(" ", "␣").replace("\n", "↵")
