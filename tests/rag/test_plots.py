"""The figures about retrieval."""

import json
from pathlib import Path

import pytest

from rag.evaluation.curves import Curves, RecallPoint, WayPoint
from rag.evaluation.errors import ExtraMissingError
from rag.evaluation.plots import figure_class, write_plots


def curves(shift: float = 0.0) -> Curves:
    points = [RecallPoint(k, 0.7 + k / 50 + shift, 0.6 + k / 50, 0.8 + k / 50) for k in range(1, 11)]
    ways = [WayPoint("dense", 0.8 + shift, 11.0), WayPoint("reranked", 0.9, 140.0)]
    channels = {"both": 0.7, "dense only": 0.2 - shift, "lexical only": 0.05 + shift, "none": 0.05}
    return Curves(5, 200, {"dense": points, "lexical": points, "fused": points}, channels, ways)


def test_three_pictures_and_their_data(tmp_path: Path) -> None:
    written = write_plots(curves(), tmp_path / "new" / "plots")
    assert [path.name for path in written] == ["recall.png", "channels.png", "latency.png", "curves.json"]
    for path in written[:3]:
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG\r\n")
        assert [int.from_bytes(content[at : at + 4], "big") for at in (16, 20)] == [1120, 704]
    assert json.loads(written[3].read_text())["channels"]["none"] == 0.05


def test_other_data_make_other_pictures(tmp_path: Path) -> None:
    first, same, other = (
        [path.read_bytes() for path in write_plots(given, tmp_path / name)[:3]]
        for name, given in (("a", curves()), ("b", curves()), ("c", curves(0.03)))
    )
    assert first == same
    assert all(one != two for one, two in zip(first, other, strict=True))


def test_a_missing_library_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("rag.evaluation.plots.import_module", missing)
    with pytest.raises(ExtraMissingError, match=r"drawing needs matplotlib\. Run: pip install 'fuente\[plots\]'"):
        figure_class()
