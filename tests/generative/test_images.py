import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from generative.errors import ConfigError, DataError
from generative.image_data import FASHION, open_images, read_idx, stroke, to_tensor
from generative.pictures import grid, save_curve


def test_the_digits_follow_the_protocol(digits):
    assert (len(digits.train), len(digits.test)) == (1347, 450)
    counts = torch.bincount(digits.test.y)
    assert 43 <= counts.min() <= counts.max() <= 46
    assert float(digits.train.x.min()) == 0
    assert float(digits.train.x.max()) == 1


def test_an_idx_file_is_read_and_a_damaged_one_refused(tmp_path):
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    raw = struct.pack(">HBB3I", 0, 8, 3, 2, 3, 4) + pixels.tobytes()
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(raw))
    assert np.array_equal(read_idx(path), pixels)
    for damaged in (raw[:-1], raw[:7], b"\0\0\x0d" + raw[3:], b""):
        path.write_bytes(gzip.compress(damaged))
        with pytest.raises(DataError, match=r"images\.gz"):
            read_idx(path)


@pytest.mark.skipif(not FASHION.is_dir(), reason="the package dataset-fashion-mnist is not installed")
def test_fashion_is_read():
    split = open_images("fashion")
    assert split.train.x.shape == (60000, 1, 28, 28)
    assert torch.bincount(split.test.y).tolist() == [1000] * 10


def test_fashion_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("FUENTE_FASHION_MNIST", str(tmp_path))
    with pytest.raises(DataError, match="apt install"):
        open_images("fashion")


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_a_folder_of_images_by_class(tmp_path, mode, channels):
    for name, shade in (("dark", 20), ("light", 220)):
        (tmp_path / name).mkdir()
        for number in range(6):
            Image.new(mode, (40, 50), shade if mode == "L" else (shade,) * 3).save(tmp_path / name / f"{number}.png")
    split = open_images(str(tmp_path))
    assert split.about["class_names"] == ("dark", "light")
    assert (len(split.train), len(split.test)) == (9, 3)
    assert split.train.x.shape[1:] == (channels, 32, 32)
    assert torch.equal(split.train.x.mean((1, 2, 3)) > 0.5, split.train.y == 1)


def test_an_unreadable_image_is_named(tmp_path):
    for number in range(8):
        (tmp_path / f"{number}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"0\.png"):
        open_images(str(tmp_path))


def _drawn(digit, size, place, ground=255, ink=0):
    """A digit (8, 8) in a corner of a sheet of 400×300 pixels, dark on light."""
    canvas = Image.new("L", (400, 300), ground)
    shade = Image.fromarray(np.uint8(ground - (ground - ink) * digit)).resize((size, size), Image.Resampling.NEAREST)
    canvas.paste(shade, place)
    return canvas


def test_a_stroke_is_the_same_wherever_and_however_large_it_is_drawn(digits):
    digit = digits.test.x[3, 0].numpy()
    sheets = [_drawn(digit, 80, (10, 20)), _drawn(digit, 240, (150, 50)), _drawn(digit, 80, (300, 200), 230, 60)]
    seen = [to_tensor(stroke(sheet, dark=True), 1, (8, 8)) for sheet in sheets]
    for other in seen[1:]:
        assert float((seen[0] - other).abs().max()) < 0.03
    # From top to bottom, as the digits are.
    assert float(seen[0][0, [0, -1]].amax(1).min()) > 0.5
    light = Image.eval(sheets[0], lambda value: 255 - value)
    assert torch.equal(to_tensor(stroke(light, dark=False), 1, (8, 8)), seen[0])


def test_a_sheet_without_a_stroke_comes_back_black():
    assert not np.asarray(stroke(Image.new("L", (40, 30), 200), dark=True)).any()


def test_a_grid_keeps_pixels_apart():
    picture = np.asarray(grid(torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)]), columns=2))
    assert sorted(np.unique(picture).tolist()) == [0, 128, 255]
    assert picture.shape == (70, 133)


def test_a_run_without_a_point_yet_is_drawn_without_a_word(tmp_path):
    path = save_curve([], tmp_path / "curve.png", title="loss", keys=["loss"])
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_curve_is_a_picture(tmp_path):
    path = save_curve([{"step": 1.0, "loss": 2.0}, {"step": 2.0, "loss": 1.0}], tmp_path / "curve.png", title="loss")
    with Image.open(path) as picture:
        assert picture.width > picture.height > 100


def test_conditions_are_checked(small):
    family = small()
    assert family.parse_condition("7") == 7
    for wrong in ("ten", "10", "-1"):
        with pytest.raises(ConfigError, match="0, 1, 2"):
            family.parse_condition(wrong)
