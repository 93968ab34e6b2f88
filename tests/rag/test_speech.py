"""Answers read aloud and questions dictated: real voices, and a recognition model that has learnt two sentences."""

import base64
import json
import sys
import wave
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import MissingDependencyError, UnsafeModelError
from rag.cli import app
from rag.compose import Fuente
from rag.errors import ConfigurationError, SpeechError
from rag.speech.dictation import MOST_S
from rag.speech.sound import Sound, read_wav
from rag.speech.voices import EspeakVoice, PiperVoices, Voice, said
from rag.types import Answer
from tests.rag.conftest import ChatServer, tiny_tokenizer
from tests.rag.test_cli import WATER, Command, failure, run, runner, work

__all__ = ["failure", "work"]

SENTENCES = ("una red", "dos redes")
# Of onnx.helper: a graph whose samples are the numbers of the phonemes that it is given.
PHONEMES_AS_SAMPLES = base64.b64decode(
    "CAg6xgEKGwoFaW5wdXQSAWYiBENhc3QqCQoCdG8YAaABAgoZCgFmCgFhEgZvdXRwdXQiCVVuc3F1ZWV6ZRIBdioZCAIQB0IBYUoQAAAAAAAAAAABAAAA"
    "AAAAAFoYCgVpbnB1dBIPCg0IBxIJCgIIAQoDEgFuWhsKDWlucHV0X2xlbmd0aHMSCgoICAcSBAoCCAFaFAoGc2NhbGVzEgoKCAgBEgQKAggDYiEKBm91"
    "dHB1dBIXChUIARIRCgIIAQoCCAEKAggBCgMSAW5CBAoAEA0="
)


def tone(hertz: float, rate_hz: int, seconds: float = 0.5) -> Sound:
    times = np.arange(int(rate_hz * seconds)) / rate_hz
    return Sound((8000 * np.sin(2 * np.pi * hertz * times)).astype("<i2").tobytes(), rate_hz)


def wav(frames: bytes, *, channels: int = 1, width: int = 2, rate_hz: int = 8000) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate_hz)
        writer.writeframes(frames)
    return file.getvalue()


@given(
    st.lists(st.integers(-(2**15), 2**15 - 1), max_size=64).map(lambda values: np.array(values, "<i2").tobytes()),
    st.sampled_from([8000, 16000, 22050, 48000]),
)
def test_a_sound_survives_its_file_sample_by_sample(pcm: bytes, rate_hz: int) -> None:
    sound = Sound(pcm, rate_hz)
    assert read_wav(sound.wav(), most_s=1) == sound
    samples = sound.samples(rate_hz)
    assert (samples * 2**15).astype("<i2").tobytes() == pcm
    assert len(samples) == round(sound.seconds * rate_hz)


@pytest.mark.parametrize("rate_hz", [11025, 22050, 48000])
def test_another_rate_keeps_pitch_and_length(rate_hz: int) -> None:
    sound = tone(440, rate_hz)
    samples = sound.samples(16000)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * 16000 / len(samples) == pytest.approx(440, abs=3)
    assert len(samples) / 16000 == pytest.approx(sound.seconds, abs=0.001)


def test_two_channels_become_their_mean_and_what_was_cut_off_is_read_as_far_as_it_goes() -> None:
    both = np.array([[100, 300], [-200, 0]], "<i2").tobytes()
    assert read_wav(wav(both, channels=2), most_s=1).pcm == np.array([200, -100], "<i2").tobytes()
    assert read_wav(wav(both, channels=2)[:-1], most_s=1).pcm == np.array([200], "<i2").tobytes()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no WAV file"),
        (b"RIFF\x00\x00\x00\x00WAVE", "no WAV file"),
        (b"ID3\x04" + bytes(64), "no WAV file"),
        (wav(bytes(8000), width=1), "8 bits a sample"),
        (wav(bytes(16000 * 40)), "lasts 40 s, the most is 30 s"),
    ],
)
def test_any_other_file_is_told(content: bytes, told: str) -> None:
    with pytest.raises(SpeechError, match=told):
        read_wav(content, most_s=MOST_S)


def answered(text: str, **changes: Any) -> Answer:
    values: dict[str, Any] = {"question": "?", "citations": (), "hits": (), "abstained": False, "confidence": 1.0}
    return Answer(**{**values, "text": text, "language": "es", "model": "m", "timings_s": {}, **changes})


def test_markers_are_not_read_aloud() -> None:
    answer = answered("Hierve a 100 grados. [1] Lo dijo [?] él [12][!].")
    assert said(answer) == ("Hierve a 100 grados. Lo dijo él.", "es")
    assert said(answered("See [a].", other_language="en")) == ("See [a].", "en")


@pytest.fixture
def espeak() -> Voice:
    pytest.importorskip("espeakng_loader")
    return EspeakVoice()


@pytest.mark.parametrize("language", ["es", "pt", "en"])
def test_a_longer_text_takes_longer_to_say(espeak: Voice, language: str) -> None:
    word, sentence = espeak.speak("casa", language), espeak.speak("casa casa casa casa casa casa", language)
    assert sentence.seconds > 2 * word.seconds > 0.2
    assert np.abs(word.samples(word.rate_hz)).max() > 0.1
    assert read_wav(word.wav(), most_s=MOST_S) == word


def test_each_language_sounds_its_own_way(espeak: Voice) -> None:
    spoken = {language: espeak.speak("hotel jota 1999", language).pcm for language in ("es", "pt", "en")}
    assert len(set(spoken.values())) == 3
    with pytest.raises(SpeechError, match="no voice for the language 'xx'"):
        espeak.speak("hotel", "xx")


def test_text_of_any_characters_can_be_said(espeak: Voice) -> None:
    assert espeak.speak("uno\0dos\ud800 <break/> [[x]]", "es").seconds > 0
    assert not espeak.speak("", "es").samples(22050).any()


def piper_voice(folder: Path, name: str, espeak_name: str, numbers: dict[str, int]) -> None:
    (folder / f"{name}.onnx").write_bytes(PHONEMES_AS_SAMPLES)
    symbols = {"^": [1], "$": [2], "_": [0], **{symbol: [number] for symbol, number in numbers.items()}}
    described = {
        "num_symbols": 256, "num_speakers": 1, "audio": {"sample_rate": 22050}, "espeak": {"voice": espeak_name},
        "phoneme_id_map": symbols,
    }  # fmt: skip
    (folder / f"{name}.onnx.json").write_text(json.dumps(described), encoding="utf-8")


def test_a_folder_of_piper_speaks_each_language_with_its_own_voice(tmp_path: Path) -> None:
    pytest.importorskip("piper")
    piper_voice(tmp_path, "es_ES-uno-medium", "es", {"a": 10})
    piper_voice(tmp_path, "en_US-one-medium", "en-us", {"a": 10, "ɑ": 20, "ː": 30})
    voices = PiperVoices(tmp_path)
    spanish = np.frombuffer(voices.speak("a a", "es").pcm, "<i2")
    # The samples of this voice are its phonemes, the loudest at full scale: begin, a, a, end, with pauses between.
    assert [round(value / 32767 * 10) for value in spanish if value] == [1, 10, 10, 2]
    assert voices.speak("a a", "en").pcm != voices.speak("a a", "es").pcm
    with pytest.raises(SpeechError, match="no voice for the language 'pt'"):
        voices.speak("a", "pt")
    (tmp_path / "pt_BR-um-medium.onnx").write_bytes(b"damaged")
    with pytest.raises(SpeechError, match=r"pt_BR-um-medium\.onnx cannot be used as a voice"):
        voices.speak("a", "pt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="holds no voice"):
        PiperVoices(tmp_path / "empty")


@pytest.mark.parametrize(("package", "value"), [("espeakng_loader", "espeak"), ("piper", "voices")])
def test_a_missing_package_names_the_command_that_installs_it(
    package: str, value: str, plain_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rag.speech import voices

    monkeypatch.setitem(sys.modules, package, None)
    voices._espeak.cache_clear()
    with pytest.raises(MissingDependencyError, match=r"Run: pip install 'fuente\[speech\]'") as found:
        _ = Fuente.configured(speech={"voice": value}).media.voice
    assert found.value.extra == "speech"


def test_what_is_not_configured_says_so(plain_settings: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"speech\.voice is not set"):
        _ = Fuente.configured().media.voice
    with pytest.raises(ConfigurationError, match=r"speech\.recognizer is not set"):
        _ = Fuente.configured().media.recognizer


def tiny_whisper(folder: Path, spoken: list[Sound]) -> None:
    """A Whisper of one layer that has learnt to tell `SENTENCES` from one another by how they sound."""
    import torch
    from transformers import (
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )

    pieces = json.loads(tiny_tokenizer().backend_tokenizer.to_str())["model"]
    end, start = "<|endoftext|>", "<|startoftranscript|>"
    make_tokenizer: Any = WhisperTokenizer
    tokenizer = make_tokenizer(
        vocab=pieces["vocab"], merges=[tuple(merge) for merge in pieces["merges"]], unk_token=end, bos_token=end,
        eos_token=end,
    )  # fmt: skip
    tokenizer.add_special_tokens({"additional_special_tokens": [start]})
    make_extractor: Any = WhisperFeatureExtractor
    make_processor: Any = WhisperProcessor
    processor = make_processor(make_extractor(chunk_length=2), tokenizer)
    end_id = tokenizer.convert_tokens_to_ids(end)
    config = WhisperConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_source_positions=100,
        max_target_positions=32, decoder_start_token_id=tokenizer.convert_tokens_to_ids(start), eos_token_id=end_id,
        pad_token_id=end_id, bos_token_id=end_id, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    torch.manual_seed(0)
    model: Any = WhisperForConditionalGeneration(config)
    heard = processor([sound.samples(16000) for sound in spoken], sampling_rate=16000, return_tensors="pt")
    tokens = [torch.tensor([*tokenizer(each, add_special_tokens=False).input_ids, end_id]) for each in SENTENCES]
    labels = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=-100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = model(input_features=heard.input_features, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


@pytest.fixture(scope="module")
def spoken() -> list[Sound]:
    pytest.importorskip("espeakng_loader")
    voice = EspeakVoice()
    return [voice.speak(sentence, "es") for sentence in SENTENCES]


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory, spoken: list[Sound]) -> Path:
    folder = tmp_path_factory.mktemp("whisper")
    tiny_whisper(folder, spoken)
    return folder


def test_what_is_said_is_written_down(
    whisper: Path, spoken: list[Sound], plain_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUENTE_MODELS__DEVICE", "cpu")
    recognizer = Fuente.configured(speech={"recognizer": str(whisper)}).media.recognizer
    assert [recognizer.text(sound) for sound in spoken] == list(SENTENCES)
    stereo = [np.repeat(np.frombuffer(sound.pcm, "<i2"), 2).tobytes() for sound in spoken]
    again = [read_wav(wav(pcm, channels=2, rate_hz=22050), most_s=MOST_S) for pcm in stereo]
    assert [recognizer.text(sound) for sound in again] == list(SENTENCES)
    assert recognizer.text(Sound(bytes(32000), 16000)) == recognizer.text(Sound(b"", 16000)) == ""


def test_a_recording_is_transcribed_in_the_terminal(
    whisper: Path, spoken: list[Sound], work: Path, monkeypatch: pytest.MonkeyPatch, failure: Command
) -> None:
    monkeypatch.setenv("FUENTE_SPEECH__RECOGNIZER", str(whisper))
    Path("question.wav").write_bytes(spoken[1].wav())
    assert run("transcribe", "question.wav") == f"{SENTENCES[1]}\n"
    Path("question.wav").write_bytes(b"no sound")
    assert "no WAV file" in failure("transcribe", "question.wav")


def test_pickled_weights_are_refused(plain_settings: Path, tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(UnsafeModelError):
        _ = Fuente.configured(speech={"recognizer": str(tmp_path)}).media.recognizer


def test_an_answer_is_written_as_sound_beside_its_text(
    work: Path, chat_server: ChatServer, espeak: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUENTE_SERVER__URL", chat_server.url)
    monkeypatch.setenv("FUENTE_SERVER__MODEL", "m")
    chat_server.pieces = (WATER,)
    run("ingest", "docs")
    question = ("ask", "¿A cuántos grados hierve el agua?", "--aloud", "answer.wav")
    refused = runner.invoke(app, list(question))
    assert isinstance(refused.exception, ConfigurationError)
    assert not chat_server.requests
    monkeypatch.setenv("FUENTE_SPEECH__VOICE", "espeak")
    assert run(*question).splitlines()[0] == f"{WATER} [1]"
    sound = read_wav(Path("answer.wav").read_bytes(), most_s=MOST_S)
    # Not sample by sample: the breath of the voice is drawn anew each time.
    assert sound.seconds == espeak.speak(WATER, "es").seconds
