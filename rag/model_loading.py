"""The models that the configuration names, as what Fuente uses them for."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import models
from index.cross_encoder import CrossEncoderReranker
from index.embedder import Embedder, prefixes_of
from index.pictures import PictureEmbedder, PictureFiles
from rag.config import ModelsConfig, PicturesConfig, ServerConfig
from rag.entailment import Entailment, EntailmentModel
from rag.errors import ConfigurationError
from rag.generator import Generator
from rag.speech.dictation import Recognizer, TransformersRecognizer
from rag.speech.voices import ESPEAK, EspeakVoice, PiperVoices, Voice
from rag.types import Message

Report = Callable[[models.Progress], None]

_log = logging.getLogger(__name__)


def load_embedder(section: ModelsConfig) -> Embedder:
    """Turns texts into vectors; a model on this machine is loaded by the first text.

    Raises: NotPreparedError, UnknownModelError; DownloadError when a hub model cannot be fetched.
    """
    model, resolved = _deferred(section, section.embedder)
    query, passage = prefixes_of(section.embedder)
    return Embedder(
        model,
        name=section.embedder,
        revision=models.revision_of(resolved),
        query_prefix=query if section.query_prefix is None else section.query_prefix,
        passage_prefix=passage if section.passage_prefix is None else section.passage_prefix,
    )


def load_picture_embedder(section: ModelsConfig, pictures: PicturesConfig, files: PictureFiles) -> PictureEmbedder:
    """Puts pictures and questions into one space.

    Raises: ConfigurationError when none is configured, ModelError for models that cannot be used together.
    """
    if not pictures.model:
        mend = "Set it to a hub name such as sentence-transformers/clip-ViT-B-32, or to the folder of a model"
        raise ConfigurationError(f"pictures.model is not set. {mend}")
    plain = section.model_copy(update={"query_prefix": "", "passage_prefix": ""})
    texts = load_embedder(plain.model_copy(update={"embedder": pictures.text_model})) if pictures.text_model else None
    model, resolved = _deferred(section, pictures.model)
    return PictureEmbedder(model, files, name=pictures.model, revision=models.revision_of(resolved), texts=texts)


def plan_memory(section: ModelsConfig, context_tokens: int, *, local: bool) -> models.MemoryPlan:
    """How embedder and, when it is a local one, generator are run so that they fit into what is free now.

    Raises: ModelError for a model that is not on this machine, or does not tell its sizes.
    """
    return models.plan_memory(
        _shape(section, section.generator) if local else None,
        _shape(section, section.embedder),
        models.rooms(section.device, section.dtype),
        context_tokens=context_tokens,
        quantised=section.quantisation == "auto",
        together=section.together,
        compiled=section.compiled,
    )


def load_generator(
    section: ModelsConfig, name: str, progress: Report, memory: models.MemoryPlan | None = None
) -> Generator:
    """A causal model on this machine, run as planned; `progress` is told of what has to be done first, once.

    Raises: ModelError.
    """
    # Imported here: torch takes seconds to load and searching needs none of it.
    from rag.transformers_generator import TransformersGenerator

    resolved = resolved_model(section, name, progress)
    device, dtype = (memory.device, memory.dtype) if memory else (section.device, section.dtype)
    plan = models.plan_device(device, dtype, role="generator")
    model, tokenizer = models.load_causal_lm(resolved, plan)
    if section.adapter and name == section.generator:
        model = models.merge_adapter(model, section.adapter)
        # Another model by now: what was calibrated or read from the published one says nothing of it.
        name = f"{name}+{models.adapter_revision(section.adapter)}"
    elif section.quantisation == "auto" and (
        memory is None or memory.quantised
    ):  # a quantised copy is of the model as it was published
        _add_quantised(model, resolved, section, progress)
    compiled = section.compiled and model.device.type != "cpu"
    if section.compiled and not compiled:
        _log.warning("models.compiled is for a GPU; %s runs on the CPU without", name)
    return TransformersGenerator(model, tokenizer, name=name, together=section.together, compiled=compiled)


def server_generator(section: ServerConfig) -> Generator:
    """The model of the configured server.

    Raises: ConfigurationError.
    """
    from rag.server_generator import ServerGenerator

    return ServerGenerator(section.url, section.model, api_key=section.api_key, context_tokens=section.context_tokens)


def load_cross_encoder(section: ModelsConfig, name: str) -> CrossEncoderReranker:
    """A second stage of search.

    Raises: ModelError for a cross-encoder that cannot be used.
    """
    plan = models.plan_device(section.device, role="embedder")
    return CrossEncoderReranker(models.load_cross_encoder(resolved_model(section, name), plan), name=name)


def load_entailment(section: ModelsConfig) -> Entailment:
    """What judges the sentences of answers.

    Raises: ModelError for a model that cannot be used, ConfigurationError for one that does not tell entailment.
    """
    plan = models.plan_device(section.device, role="embedder")
    model = models.load_cross_encoder(resolved_model(section, section.entailment), plan)
    return EntailmentModel(model, name=section.entailment)


def load_voice(voice: str) -> Voice:
    """What reads answers aloud.

    Raises: ConfigurationError, MissingDependencyError, SpeechError.
    """
    if not voice:
        raise ConfigurationError(f"speech.voice is not set. Set it to {ESPEAK} or a folder of Piper voices")
    return EspeakVoice() if voice == ESPEAK else PiperVoices(Path(voice).expanduser())


def load_recognizer(section: ModelsConfig, name: str) -> Recognizer:
    """What writes down dictated questions.

    Raises: ConfigurationError when none is named, ModelError for a model that cannot be used.
    """
    if not name:
        mend = "Set it to a hub name such as openai/whisper-small, or to the folder of a model"
        raise ConfigurationError(f"speech.recognizer is not set. {mend}")
    plan = models.plan_device(section.device, role="embedder")
    return TransformersRecognizer(*models.load_speech_recognizer(resolved_model(section, name), plan))


def prompt_counter(section: ModelsConfig) -> tuple[Callable[[Sequence[Message]], int], int]:
    """Counts the tokens of a prompt without the weights; and how many the generator takes, the reply included.

    Raises: ModelError.
    """
    # Imported here: transformers takes a second to load and searching needs none of it.
    from rag.chat_tokens import ChatTokens

    tokenizer, context = models.load_chat_tokenizer(resolved_model(section, section.generator))
    return ChatTokens(tokenizer).count, context


def resolved_model(section: ModelsConfig, name: str, progress: Report | None = None) -> models.ResolvedModel:
    """Where a model is.

    Raises: ModelError.
    """
    return models.resolve(name, section.cache, allow_network=section.network, progress=progress)


def _deferred(section: ModelsConfig, name: str) -> tuple[Any, models.ResolvedModel]:
    """A model of sentence-transformers, not loaded where its files are here already."""
    resolved = resolved_model(section, name)
    model = models.defer_sentence_transformer(resolved, section.device)
    if resolved.folder is not None:
        return model, resolved
    # A hub model that is not on this machine: its commit is known once it was fetched.
    return model.load(), resolved_model(section, name)


def _shape(section: ModelsConfig, name: str) -> models.ModelShape:
    folder = resolved_model(section, name).folder
    if folder is None:
        raise models.ModelError(f"{name} was not fetched yet")
    return models.shape_of(folder, name)


def _add_quantised(model: Any, resolved: models.ResolvedModel, section: ModelsConfig, progress: Report) -> None:
    from models.quantised import add_quantised, reason_against

    if (reason := reason_against(model)) is None:
        add_quantised(model, resolved, section.cache, progress)
    else:
        _log.warning("models.quantisation is auto, but the weights are used as they are: %s", reason)
