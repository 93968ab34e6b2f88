"""Diffusion on sound: short tones as pictures of their spectrum, and back to something that can be heard.

The model is that of `generative.diffusion`, unchanged: 32 frequencies by 16 moments are its image. Phases are thrown
away by the picture and found again from how neighbouring moments overlap.

Source: Griffin and Lim, Signal Estimation from Modified Short-Time Fourier Transform (1984), section III.
"""

import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generative.diffusion import Diffusion, DiffusionConfig
from generative.errors import ConfigError, DataError
from generative.family import Split
from generative.image_data import Images
from generative.image_family import shape_of
from generative.pictures import save_grid
from generative.training import Training, seed_of

RATE_HZ = 4000
NOTES = ("C4", "D4", "E4", "F4", "G4", "A4", "B4", "C5")
FREQUENCIES_HZ = (261.63, 293.66, 329.63, 349.23, 392.0, 440.0, 493.88, 523.25)
_WINDOW, _HOP, _BINS, _FRAMES = 128, 32, 32, 16
SAMPLES = _HOP * (_FRAMES - 1)  # 480, 120 ms
_ROUNDS = 60
# Half of the distance between neighbouring semitones.
QUARTER_TONE = 2 ** (1 / 24)


class Sound(Diffusion):
    """A diffusion model of tones, by note."""

    name = "sound"
    score_unit = "squared error per spectrum of undoing noise, mean over six levels (a proxy)"

    @classmethod
    def open_data(cls, name: str, *, seed: int = 0) -> Split:
        """`tones`: 1,600 synthetic tones to train on and 400 to test with. Raises: DataError."""
        if name not in ("tones", "digits"):  # digits is what every command takes by default
            raise DataError(f"There are no tones {name!r}. Use --data tones.")
        made = [tones(count, seed_of(seed, "tones", number)) for number, count in enumerate((1600, 400))]
        train, test = (Images(spectrum(sound), notes) for sound, notes in made)
        about = {"channels": 1, "height": _BINS, "width": _FRAMES, "class_names": NOTES}
        return Split("tones", train, test, about)

    def play(self, spectra: Tensor) -> Tensor:
        """The sound (N, SAMPLES) float32 in [-1, 1] of spectra (N, 1, 32, 16)."""
        return invert(spectra.cpu())

    def evaluate(self, data: Split, *, seed: int = 0) -> dict[str, float]:
        """How often the tone that is heard is the note that was asked for, drawn and, beside it, real."""
        assert isinstance(data.test, Images)  # noqa: S101
        labels = data.test.y
        drawn = self.sample(len(labels), condition=labels, generator=torch.Generator(self.device).manual_seed(seed))
        heard = {"notes_right": self.play(drawn), "notes_right_real": invert(data.test.x)}
        return {key: float((nearest_note(pitch_hz(sound)) == labels).double().mean()) for key, sound in heard.items()}

    def write_samples(self, samples: Tensor, folder: Path) -> list[Path]:
        """All of them one after another in samples.wav, and their spectra in samples.png."""
        quiet = torch.zeros(len(samples), SAMPLES // 4)
        played = torch.cat([self.play(samples), quiet], 1)
        picture = save_grid(samples.flip(2), folder / "samples.png")  # low notes at the bottom
        return [write_wav(played.flatten(), folder / "samples.wav"), picture]

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> DiffusionConfig:
        """`cpu`: small; `gpu`: wider and longer."""
        image = shape_of(about)
        if name == "cpu":
            return DiffusionConfig(Training(1000, 64, 2e-3, ema_decay=0.99), image, (16, 32, 32), dropout=0.0)
        if name == "gpu":
            return DiffusionConfig(Training(20000, 256, 1e-3, ema_decay=0.999), image, (48, 64, 96), blocks=2)
        raise ConfigError(f"There is no preset {name!r}. Use cpu or gpu.")


def tones(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Tones (N, SAMPLES) in [-1, 1] and their notes (N,): fundamental and overtones that fade, a little out of tune."""
    generator = torch.Generator().manual_seed(seed)
    notes = torch.randint(len(NOTES), (count,), generator=generator)
    chance = torch.rand(6, count, 1, generator=generator)
    time_s = torch.arange(SAMPLES) / RATE_HZ
    frequency = torch.tensor(FREQUENCIES_HZ)[notes][:, None] * 2 ** ((chance[0] - 0.5) / 60)  # ± a tenth of a semitone
    sound = torch.zeros(count, SAMPLES)
    for overtone in (1, 2, 3):
        strength = 1.0 if overtone == 1 else 0.4 * chance[overtone] / overtone
        sound += strength * torch.sin(2 * torch.pi * (overtone * frequency * time_s + chance[4] * overtone))
    sound *= torch.exp(-time_s * (2 + 18 * chance[5]))
    return sound / sound.abs().amax(1, keepdim=True), notes


def spectrum(sound: Tensor) -> Tensor:
    """The picture of sounds (N, SAMPLES): (N, 1, 32 frequencies, 16 moments) in [0, 1], roots of magnitudes."""
    magnitudes = _transform(sound).abs()[:, :_BINS]
    return (magnitudes / (_WINDOW / 4)).clamp(0, 1).sqrt()[:, None]


def invert(spectra: Tensor) -> Tensor:
    """Sounds (N, SAMPLES) whose spectra come near these (Griffin and Lim), from random phases, always the same."""
    magnitudes = torch.zeros(len(spectra), _WINDOW // 2 + 1, _FRAMES)
    magnitudes[:, :_BINS] = spectra[:, 0].clamp(0, 1).square() * (_WINDOW / 4)
    phases = 2 * torch.pi * torch.rand(magnitudes.shape, generator=torch.Generator().manual_seed(0))
    guess = torch.polar(magnitudes, phases)
    for _ in range(_ROUNDS):
        guess = torch.polar(magnitudes, _transform(_inverse(guess)).angle())
    sound = _inverse(guess)
    return sound / sound.abs().amax(1, keepdim=True).clamp(min=1e-6)


def pitch_hz(sound: Tensor) -> Tensor:
    """The frequency (N,) of the strongest peak of sounds (N, SAMPLES), to less than 1 Hz."""
    size = 8192
    power = torch.fft.rfft(sound * torch.hann_window(SAMPLES), n=size).abs()
    found: Tensor = power.argmax(1) * (RATE_HZ / size)
    return found


def nearest_note(frequencies_hz: Tensor) -> Tensor:
    """The number (N,) of the note within a quarter tone, or -1."""
    ratios = (frequencies_hz[:, None].clamp(min=1) / torch.tensor(FREQUENCIES_HZ)).log().abs()
    distance, note = ratios.min(1)
    return torch.where(distance <= torch.tensor(QUARTER_TONE).log(), note, -1)


def write_wav(sound: Tensor, path: Path) -> Path:
    """Writes a sound (S,) in [-1, 1] as 16-bit WAV; the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((sound.clamp(-1, 1) * 32767).short().numpy().astype("<i2").tobytes())
    return path


def _transform(sound: Tensor) -> Tensor:
    transformed: Tensor = torch.stft(sound, _WINDOW, _HOP, window=torch.hann_window(_WINDOW), return_complex=True)
    return transformed  # (N, 65, 16)


def _inverse(transformed: Tensor) -> Tensor:
    window = torch.hann_window(_WINDOW)
    sound: Tensor = torch.istft(transformed, _WINDOW, _HOP, window=window, length=SAMPLES)
    return sound
