"""Pictures of what was learned: grids of samples and curves of training, as PNG files."""

from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from generative.errors import UnsupportedError
from generative.training import Logs, curve

_PAPER, _INK, _QUIET, _LINE = "#fcfbf8", "#23292b", "#6a716f", "#e2ded3"
_COLOURS = ("#12706b", "#c8811a", "#3f6fae", "#8a3b6b", "#6a716f")
_TILE = 56  # pixels of one enlarged image, about


def grid(images: Tensor, columns: int | None = None) -> Image.Image:
    """Images (N, C, H, W) in [0, 1] side by side, enlarged without smoothing, so pixels stay pixels."""
    count, channels, height, width = images.shape
    columns = columns or max(1, round(count**0.5))
    rows = -(-count // columns)
    values = images.detach().cpu().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, channels), 128, dtype=np.uint8)
    for number, image in enumerate(values.permute(0, 2, 3, 1).numpy()):
        top, left = 1 + number // columns * (height + 1), 1 + number % columns * (width + 1)
        sheet[top : top + height, left : left + width] = image
    factor = max(1, _TILE // height)
    picture = Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def save_grid(images: Tensor, path: Path, columns: int | None = None) -> Path:
    """Writes a grid of images; the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grid(images, columns).save(path, optimize=True)
    return path


def save_curve(history: Sequence[Logs], path: Path, *, title: str, keys: Iterable[str] | None = None) -> Path:
    """Draws quantities of a training over its steps, all that look like losses by default; the path.

    Raises: UnsupportedError where matplotlib is missing.
    """
    try:
        figure = import_module("matplotlib.figure").Figure(figsize=(7.0, 3.6), layout="constrained", facecolor=_PAPER)
    except ImportError as error:
        raise UnsupportedError("Drawing needs matplotlib: pip install 'fuente[plots]'.") from error
    axes = figure.subplots()
    axes.set_facecolor(_PAPER)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=_INK)
    axes.set_xlabel("step", color=_QUIET)
    axes.grid(color=_LINE, linewidth=0.8)
    axes.tick_params(colors=_QUIET, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    shown = list(keys) if keys is not None else sorted({key for point in history for key in point if "loss" in key})
    for number, key in enumerate(shown):
        points = list(curve(list(history), key))
        axes.plot(*zip(*points, strict=True), label=key, color=_COLOURS[number % len(_COLOURS)], lw=1.6)
    if axes.get_lines():  # a run of a few steps has no point yet
        axes.legend(frameon=False, labelcolor=_INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140, metadata={"Software": None})
    return path
