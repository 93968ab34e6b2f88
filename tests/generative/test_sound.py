import wave

import pytest
import torch

from generative.errors import DataError
from generative.sound import FREQUENCIES_HZ, RATE_HZ, SAMPLES, Sound, invert, nearest_note, pitch_hz, spectrum, tones


@pytest.fixture(scope="module")
def sounds():
    return tones(100, 0)


def test_the_pitch_of_a_tone_is_its_note(sounds):
    sound, notes = sounds
    assert sound.shape == (100, SAMPLES)
    assert torch.equal(nearest_note(pitch_hz(sound)), notes)
    assert nearest_note(torch.tensor([440.0, 455.0, 1.0])).tolist() == [5, -1, -1]


def test_pitches_are_exact_to_a_hertz():
    time_s = torch.arange(SAMPLES) / RATE_HZ
    frequencies = torch.tensor(FREQUENCIES_HZ)
    found = pitch_hz(torch.sin(2 * torch.pi * frequencies[:, None] * time_s))
    assert torch.allclose(found, frequencies, atol=1.0)


def test_a_spectrum_can_be_heard_again(sounds):
    sound, notes = sounds
    spectra = spectrum(sound)
    assert spectra.shape == (100, 1, 32, 16)
    assert 0 <= float(spectra.min()) <= float(spectra.max()) <= 1
    heard = invert(spectra)
    assert float((nearest_note(pitch_hz(heard)) == notes).float().mean()) > 0.9
    assert float((spectrum(heard) - spectra).abs().mean()) < 0.05


def test_samples_are_written_as_sound(tmp_path):
    data = Sound.open_data("tones")
    config = Sound.preset("cpu", data.about).changed({"widths": [8, 8], "sample_steps": 2})
    sound = Sound(config, device="cpu")
    written = sound.write_samples(sound.sample(2, condition="dibuja un sol"), tmp_path)
    with wave.open(str(written[0])) as file:
        assert file.getframerate() == RATE_HZ
        assert file.getnframes() == 2 * SAMPLES * 5 // 4
    with pytest.raises(DataError, match="tones"):
        Sound.open_data("songs")
