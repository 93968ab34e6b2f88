"""One process's hold on the application: models are loaded once, and as many answers are written as configured."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from threading import Lock

import models
from index.embedder import Embedder
from index.manifest import current_number
from index.search import Index
from index.types import DEFAULT_COLLECTION, Failure, SourceInfo, SyncProgress
from rag import Answer, Answerer, Config, Fuente
from rag.evaluation.building import QuestionWriter
from rag.evaluation.curves import curves
from rag.evaluation.opening import open_set
from rag.evaluation.own import read_own
from rag.pictures import PictureHit
from rag.sources import pictures_folder, questions_folder, read_suffixes
from rag.speech.dictation import MOST_S
from rag.speech.sound import read_wav
from rag.speech.voices import said
from ui.explain import Reasons
from ui.jobs import AnswerJob, IngestJob, Job, MeasureJob, QuestionsJob, Settings
from ui.seats import Seats
from ui.uploads import is_upload, uploads_folder

# Of the questions that are drawn; the same set gives the same figures.
_SEED = 0

_log = logging.getLogger(__name__)

OpenFuente = Callable[[Config, Embedder | None], Fuente]


class Library:
    """The documents and the models that answer from them, shared by all visitors of the page."""

    def __init__(self, config: Config, open_fuente: OpenFuente) -> None:
        self.config = config
        self._open_fuente = open_fuente
        self._fuente = open_fuente(config, None)
        self._opening = Lock()
        self._seats = Seats(config.models.together)
        self._writing = Lock()
        self._speaking = Lock()
        self._picturing = Lock()
        self._listed: tuple[tuple[int, int], list[SourceInfo]] = ((0, 0), [])
        self._warming = False
        self._generator = self.generator
        self._ready = False

    def uploads(self, collection: str = DEFAULT_COLLECTION) -> Path:
        """Folder of the files uploaded into a collection."""
        return uploads_folder(self.config.index.absolute(), collection)

    @property
    def generator(self) -> str:
        """Name of the configured generator."""
        return self.config.server.model if self.config.server.url else self.config.models.generator

    def generators(self) -> list[str]:
        """Names to choose from, the configured one first; a server's model is the only one."""
        if self.config.server.url:
            return [self.generator]
        cache = self.config.models.cache
        prepared = [
            name
            for name, spec in models.CATALOG.items()
            if spec.role == "generator" and models.is_prepared(name, cache)
        ]
        return [self.generator, *(name for name in prepared if name != self.generator)]

    def has_documents(self) -> bool:
        """Whether there is something to ask about, as far as can be told without loading a model."""
        if current_number(self.config.index) == 0:
            return False
        return not any(self._listed[0]) or bool(self.documents())

    def documents(self) -> list[SourceInfo]:
        """Every document; loads the embedder at the first call.

        Raises: errors of models and of the index; one that does not exist yet is empty.
        """
        if current_number(self.config.index) == 0:
            return []  # known without loading a model
        index = self._index()
        generations = (index.generation.number, current_number(pictures_folder(self.config.index)))
        if self._listed[0] != generations:
            images = self._fuente.media.images() if self.config.pictures.model else []
            self._listed = (generations, [*index.sources(), *images])
        return self._listed[1]

    def collections(self) -> list[str]:
        """Names of the collections; the one that there always is comes first.

        Raises: errors of models and of the index.
        """
        others = {info.collection for info in self.documents()} - {DEFAULT_COLLECTION}
        return [DEFAULT_COLLECTION, *sorted(others)]

    def warm_up(self) -> None:
        """Loads the models in the background, so that the first answer need not wait for all of it."""
        if not self._warming:
            self._warming = True
            Job().start(self._load)

    def ask(self, number: int, question: str, settings: Settings, before: Sequence[AnswerJob] = ()) -> AnswerJob:
        """The job that answers a question, a follow-up to those before it, for which it waits."""
        job = AnswerJob(number, question, settings, before)
        job.start(lambda: self._answer(job))
        return job

    def explain(self, job: AnswerJob) -> Reasons:
        """Why the passages of an answer were found, and what of them the model was given to read.

        Raises: errors of models and of the index.
        """
        reply, settings = job.reply, job.settings
        question = reply.answer.standalone_question if reply else job.question
        self._index()  # which may have to be opened first
        retriever = self._fuente.retriever
        explanation = retriever.explain(question, k=settings.k, where=settings.where)
        hits = retriever.read([each.hit for each in explanation.taken])
        return Reasons(explanation, self._fuente.packing(question, hits))

    def pictures(self, job: AnswerJob, k: int) -> list[PictureHit]:
        """The `k` pictures that its question describes best, of the documents that it asks.

        Raises: errors of models and of the index.
        """
        reply = job.reply
        question = reply.answer.standalone_question if reply else job.question
        with self._picturing:
            return self._fuente.media.pictures.search(question, k, where=job.settings.where)

    def suffixes(self) -> list[str]:
        """The suffixes of the files that can be added."""
        return sorted(read_suffixes(pictures=bool(self.config.pictures.model)))

    def speak(self, answer: Answer) -> bytes:
        """An answer read aloud, as a WAV file.

        Raises: ConfigurationError, MissingDependencyError, SpeechError.
        """
        with self._speaking:
            return self._fuente.media.voice.speak(*said(answer)).wav()

    def transcribe(self, recording: bytes) -> str:
        """What is said in a WAV file; "" where nothing was understood.

        Raises: SpeechError, ModelError.
        """
        sound = read_wav(recording, most_s=MOST_S)
        with self._speaking:
            return self._fuente.media.recognizer.text(sound)

    def ingest(self, unsaved: Sequence[Failure] = (), *, collection: str = DEFAULT_COLLECTION) -> IngestJob:
        """The job that brings a collection up to date with its uploads."""
        job = IngestJob(unsaved)

        def work() -> None:
            with self._writing:
                self._embedder()
                folder = self.uploads(collection)
                folder.mkdir(parents=True, exist_ok=True)
                job.report = self._fuente.ingest([folder], collection=collection, progress=job.advance)

        job.start(work)
        return job

    @property
    def questions_folder(self) -> Path:
        """Where question sets are kept."""
        return questions_folder(self.config.index.absolute())

    def question_sets(self) -> list[Path]:
        """The question sets that there are, the newest first."""
        folder = self.questions_folder
        found = folder.glob("*.json") if folder.is_dir() else ()
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def measure(self, file: Path, limit: int) -> MeasureJob:
        """The job that measures search on `limit` questions of a set, or on all when there are fewer."""
        job = MeasureJob()

        def work() -> None:
            job.advance(SyncProgress("open", 0, 0, file.name))
            self._index()  # which may have to be opened first
            opened = open_set(self._fuente, file, tell=_log.info)
            questions = opened.answerable(limit, _SEED)
            job.curves = curves(
                opened.harness,
                questions,
                k=self.config.retrieval.k,
                seed=_SEED,
                progress=lambda done, total: job.advance(SyncProgress("search", done, total)),
            )

        job.start(work)
        return job

    def write_questions(self, count: int) -> QuestionsJob:
        """The job that has the model write questions about the documents; answers wait until it is done.

        What was stopped before is gone on with.
        """
        job = QuestionsJob()

        def work() -> None:
            job.advance(SyncProgress("open", 0, 0))
            with self._seats.all():
                _, index = self._answerer(self.generator)
                folder = self.questions_folder
                folder.mkdir(parents=True, exist_ok=True)
                writer = QuestionWriter(index, self._fuente.generator, seed=_SEED)
                file = writer.unfinished(folder) or folder / f"{datetime.now():%Y-%m-%d %H-%M-%S}.json"
                job.file = str(file)
                job.built = writer.build(
                    file, count, progress=lambda done, total: job.advance(SyncProgress("write", done, total))
                )
                job.questions = read_own(file).question_set.questions

        job.start(work)
        return job

    def remove(self, info: SourceInfo) -> None:
        """Takes a document out of its collection; a file that was uploaded into it is deleted as well.

        Raises: IndexBusyError, UnknownSourceError, OSError.
        """
        with self._writing:
            # The index first: when it is busy, nothing is lost.
            self._fuente.remove([info.source], collection=info.collection)
            if self.is_upload(info):
                Path(info.source).unlink(missing_ok=True)

    def is_upload(self, info: SourceInfo) -> bool:
        """Whether a document was uploaded into its collection."""
        return is_upload(info.source, self.uploads(info.collection))

    def _load(self) -> None:
        with self._seat(self.generator):
            pass

    def _answer(self, job: AnswerJob) -> None:
        job.stage = "waiting" if self._ready else "loading"
        settings = job.settings

        def wanted() -> bool:
            if job.stopped:
                return False
            job.stage = "loading"
            return True

        job.await_history()
        with self._seat(settings.generator, wanted) as ready:
            if ready is None:
                return
            answerer, index = ready
            job.stage = "searching"
            for event in answerer.stream(
                job.question,
                k=settings.k,
                where=settings.where,
                sampling=settings.sampling,
                options=settings.options,
                language=settings.language,
                history=job.history,
                cancel=job.cancel,
            ):
                job.take(event, index.document)

    def _seat(
        self, generator: str, wanted: Callable[[], bool] = lambda: True
    ) -> AbstractContextManager[tuple[Answerer, Index] | None]:
        """A seat with what answers by that generator, unless that is no longer wanted when its turn comes."""
        return self._seats.one(
            lambda: self._answerer(generator) if wanted() else None, alone=lambda: generator != self._generator
        )

    def _answerer(self, generator: str) -> tuple[Answerer, Index]:
        """What answers with that generator. The one before is let go: two may not fit into memory."""
        if generator != self._generator:
            section = self.config.models.model_copy(update={"generator": generator})
            config = self.config.model_copy(update={"models": section})
            self._fuente = self._open_fuente(config, self._embedder())
            self._generator, self._ready = generator, False
        index = self._index()
        answerer = self._fuente.answerer
        self._ready = True
        return answerer, index

    def _index(self) -> Index:
        # Visitors come at once, and properties that are made when first used are not made for that.
        with self._opening:
            return self._fuente.index

    def _embedder(self) -> Embedder:
        with self._opening:
            return self._fuente.embedder
