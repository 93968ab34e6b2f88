"""Text becomes speech: at once in every language by eSpeak NG, or more naturally by voices of Piper."""

import ctypes
import re
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from models.errors import MissingDependencyError
from rag.errors import ConfigurationError, SpeechError
from rag.speech.sound import Sound
from rag.types import Answer

ESPEAK = "espeak"

# Of speak_lib.h: samples are handed over in the calling thread, the process is never ended, text is UTF-8.
_SYNCHRONOUS, _DO_NOT_EXIT, _CHARACTERS, _UTF_8 = 2, 0x8000, 1, 1
_RECEIVER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
# Its "pt" is spoken as in Portugal; the interface and the instructions to the model are written as in Brazil.
_ESPEAK_NAMES = {"pt": "pt-br"}
_MARKER = re.compile(r"\s*\[(?:\d{1,3}|[?!])\]")


class Voice(Protocol):
    """Reads texts aloud."""

    def speak(self, text: str, language: str) -> Sound:
        """The text as it sounds in a language (ISO 639-1).

        Raises: SpeechError for a language without a voice.
        """
        ...


def said(answer: Answer) -> tuple[str, str]:
    """What of an answer is read aloud, which is its text without the markers, and in which language."""
    return _MARKER.sub("", answer.text).strip(), answer.other_language or answer.language


class EspeakVoice:
    """Every language of eSpeak NG. It sounds like a machine, takes milliseconds and needs no model."""

    # The library keeps one voice and one text at a time, for the whole process.
    _turn = Lock()

    def __init__(self) -> None:
        """Raises: MissingDependencyError, SpeechError."""
        self._library, self._rate_hz = _espeak()

    def speak(self, text: str, language: str) -> Sound:
        """Raises: SpeechError for a language without a voice."""
        pieces: list[bytes] = []

        def receive(samples: int | None, count: int, _events: int | None) -> int:
            if samples and count:
                pieces.append(ctypes.string_at(samples, 2 * count))
            return 0  # go on

        receiver = _RECEIVER(receive)
        content = text.replace("\0", " ").encode("utf-8", "replace")
        with self._turn:
            if self._library.espeak_SetVoiceByName(_ESPEAK_NAMES.get(language, language).encode("utf-8", "replace")):
                mend = "Set speech.voice to a folder with a Piper voice of that language"
                raise SpeechError(f"eSpeak NG has no voice for the language {language!r}. {mend}")
            self._library.espeak_SetSynthCallback(receiver)
            size = ctypes.c_size_t(len(content) + 1)
            status = self._library.espeak_Synth(content, size, 0, _CHARACTERS, 0, _UTF_8, None, None)
        if status:
            raise SpeechError(f"eSpeak NG could not read {len(content)} bytes of text (status {status})")
        return Sound(b"".join(pieces), self._rate_hz)


@cache
def _espeak() -> tuple[Any, int]:
    """The library, set up once in a process, and its samples a second."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise MissingDependencyError("espeakng-loader", "Reading aloud by eSpeak NG", "speech") from error
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _DO_NOT_EXIT)
    if rate_hz <= 0:
        raise SpeechError("eSpeak NG does not find its data. Run: pip install --force-reinstall espeakng-loader")
    return library, int(rate_hz)


class PiperVoices:
    """Voices of Piper in one folder, named as Piper names them: es_ES-davefx-medium.onnx beside its .onnx.json."""

    def __init__(self, folder: Path) -> None:
        """Raises: ConfigurationError for a folder without voices, MissingDependencyError."""
        try:
            from piper import PiperVoice
        except ImportError as error:
            raise MissingDependencyError("piper-tts", "Reading aloud by Piper", "speech") from error
        self._load = PiperVoice.load
        self._folder = folder
        self._loaded: dict[str, Any] = {}
        self._turn = Lock()
        if not any(folder.glob("*.onnx")):
            raise ConfigurationError(
                f"speech.voice: {folder} holds no voice. It must be {ESPEAK} or a folder of Piper voices such as"
                " es_ES-davefx-medium.onnx, each with its .onnx.json"
            )

    def speak(self, text: str, language: str) -> Sound:
        """Raises: SpeechError for a language without a voice, or a voice that cannot be read."""
        with self._turn:
            voice = self._loaded.get(language) or self._loaded.setdefault(language, self._voice(language))
            chunks = list(voice.synthesize(text))
        return Sound(b"".join(chunk.audio_int16_bytes for chunk in chunks), voice.config.sample_rate)

    def _voice(self, language: str) -> Any:
        """The first voice of the language by name."""
        path = next((path for path in sorted(self._folder.glob("*.onnx")) if _language(path) == language), None)
        if path is None:
            mend = f"Put one there, such as {language}_….onnx with its .onnx.json, or set speech.voice to {ESPEAK}"
            raise SpeechError(f"{self._folder} has no voice for the language {language!r}. {mend}")
        try:
            return self._load(path)
        except Exception as error:
            raise SpeechError(f"{path} cannot be used as a voice ({error}). Fetch it and its .json again") from error


def _language(path: Path) -> str:
    return re.split("[_-]", path.name, maxsplit=1)[0].lower()
