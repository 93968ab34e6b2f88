"""Speech becomes text, by any speech recognition model of transformers that writes: Whisper, Moonshine, …"""

from threading import Lock
from typing import Any, Protocol

from models.quiet import quiet_transformers
from rag.speech.sound import Sound

# What Whisper hears at a time; a question takes no longer.
MOST_S = 30.0


class Recognizer(Protocol):
    """Writes down what is said."""

    def text(self, sound: Sound) -> str:
        """The words of a recording of `MOST_S` seconds at most, as the model understood them."""
        ...


class TransformersRecognizer:
    """A sequence-to-sequence model that hears; a multilingual one finds out the language by itself."""

    def __init__(self, model: Any, processor: Any) -> None:
        self._model = model
        self._processor = processor
        self._turn = Lock()

    def text(self, sound: Sound) -> str:
        """The words of a recording, as the model understood them; "" for one without sound."""
        rate_hz = int(self._processor.feature_extractor.sampling_rate)
        samples = sound.samples(rate_hz)
        if not samples.any():  # what a model makes of silence is made up
            return ""
        with self._turn, quiet_transformers():
            heard = self._processor(samples, sampling_rate=rate_hz, return_tensors="pt", return_attention_mask=True).to(
                self._model.device, self._model.dtype
            )
            tokens = self._model.generate(**heard)
        return str(self._processor.batch_decode(tokens, skip_special_tokens=True)[0]).strip()
