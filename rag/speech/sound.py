"""Recorded and synthetic speech as WAV files, which browsers and players take as they are."""

import io
import wave
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import MissingDependencyError
from rag.errors import SpeechError

_SAMPLE_BYTES = 2
_FULL_SCALE = 2.0**15
_MEND = "Convert it: ffmpeg -i FILE -c:a pcm_s16le question.wav"


@dataclass(frozen=True, slots=True)
class Sound:
    """One channel of 16-bit samples, little-endian, so many a second."""

    pcm: bytes
    rate_hz: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.pcm) / _SAMPLE_BYTES / self.rate_hz

    def wav(self) -> bytes:
        """A WAV file."""
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(_SAMPLE_BYTES)
            writer.setframerate(self.rate_hz)
            writer.writeframes(self.pcm)
        return file.getvalue()

    def samples(self, rate_hz: int) -> NDArray[np.float32]:
        """Samples (N,) float32 in [-1, 1), at that rate.

        Raises: MissingDependencyError when the rate has to be changed without scipy.
        """
        samples = np.frombuffer(self.pcm, "<i2").astype(np.float32) / np.float32(_FULL_SCALE)  # (N,)
        if rate_hz == self.rate_hz:
            return samples
        try:
            from scipy.signal import resample_poly
        except ImportError as error:
            raise MissingDependencyError("scipy", f"A recording at {self.rate_hz} Hz") from error
        return np.asarray(resample_poly(samples, rate_hz, self.rate_hz), np.float32)


def read_wav(content: bytes, *, most_s: float) -> Sound:
    """The sound of a WAV file that lasts `most_s` at most; several channels become their mean.

    Raises: SpeechError for anything else.
    """
    try:
        with wave.open(io.BytesIO(content)) as reader:
            channels, width, rate = reader.getnchannels(), reader.getsampwidth(), reader.getframerate()
            seconds = reader.getnframes() / rate if rate else 0.0
            if seconds > most_s:
                raise SpeechError(f"The recording lasts {seconds:.0f} s, the most is {most_s:.0f} s. Say it shorter")
            frames = reader.readframes(reader.getnframes())
    except (wave.Error, EOFError) as error:
        raise SpeechError(f"The recording is no WAV file of plain samples ({error}). {_MEND}") from error
    if width != _SAMPLE_BYTES or not rate:
        raise SpeechError(f"The recording has {8 * width} bits a sample at {rate} Hz, it must be 16 bits. {_MEND}")
    whole = len(frames) // (channels * _SAMPLE_BYTES) * channels * _SAMPLE_BYTES  # a file that was cut off
    mixed = np.frombuffer(frames[:whole], "<i2").reshape(-1, channels).mean(axis=1)  # (N, C) → (N,)
    return Sound(mixed.astype("<i2").tobytes(), rate)
