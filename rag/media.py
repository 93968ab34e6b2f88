"""What of the application is not text: speech and pictures, each off unless configured and loaded when first used."""

from functools import cached_property

from index.types import SourceInfo
from rag.config import Config
from rag.model_loading import load_picture_embedder, load_recognizer, load_voice
from rag.pictures import PictureLibrary, copies, image_sources
from rag.sources import pictures_folder
from rag.speech.dictation import Recognizer
from rag.speech.voices import Voice


class Media:
    """Speech and pictures as configured."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @cached_property
    def voice(self) -> Voice:
        """Reads answers aloud.

        Raises: ConfigurationError when none is configured, MissingDependencyError, SpeechError.
        """
        return load_voice(self._config.speech.voice)

    @cached_property
    def recognizer(self) -> Recognizer:
        """Writes down dictated questions.

        Raises: ConfigurationError when none is configured, ModelError.
        """
        return load_recognizer(self._config.models, self._config.speech.recognizer)

    @cached_property
    def pictures(self) -> PictureLibrary:
        """The pictures of the documents, with the model that finds them.

        Raises: ConfigurationError when none is configured, ModelError.
        """
        files = copies(self._config.index)
        embedder = load_picture_embedder(self._config.models, self._config.pictures, files)
        return PictureLibrary(self._config.index, embedder)

    @property
    def wants_pictures(self) -> bool:
        """Whether pictures are to be indexed."""
        return bool(self._config.pictures.model)

    @property
    def has_pictures(self) -> bool:
        """Whether they are, and were."""
        return self.wants_pictures and pictures_folder(self._config.index).exists()

    def images(self) -> list[SourceInfo]:
        """The image files that are indexed; no model is loaded."""
        return image_sources(self._config.index) if self.has_pictures else []
