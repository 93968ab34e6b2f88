"""The composition root: the one place that turns the configuration into objects."""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any, Self

import models
from index.embedder import Embedder
from index.errors import IndexDamagedError, IndexOutdatedError
from index.late_interaction import LateInteraction
from index.rerank import Reranker
from index.search import Index
from index.settings import SearchSettings
from index.types import DEFAULT_COLLECTION, Hit, Identity, SyncProgress, SyncReport, check_collection
from index.writer import IndexWriter
from ingest.chunking import Chunker
from ingest.language import detect_language
from ingest.sandbox import SandboxedReader
from rag.answerer import Answerer
from rag.close_calls import CloseCalls
from rag.confidence import (
    CALIBRATION_FILE,
    PROBED,
    UNCALIBRATED,
    stored_calibration,
    weight_of_deviations,
)
from rag.config import Config, load_config
from rag.errors import ConfigurationError
from rag.examples import load_examples
from rag.expansion import QueryExpander
from rag.generator import Generator, Likelihood
from rag.media import Media
from rag.model_loading import (
    load_cross_encoder,
    load_embedder,
    load_entailment,
    load_generator,
    plan_memory,
    prompt_counter,
    server_generator,
)
from rag.packing import Packing, packing
from rag.phrases import LANGUAGES
from rag.pictures import with_pictures
from rag.probe import Probe
from rag.retriever import Retriever
from rag.search import Search
from rag.sources import named_path, read_suffixes, source_files
from rag.types import Message

Progress = Callable[[SyncProgress], None]

_log = logging.getLogger(__name__)


class Fuente:
    """The application over one index; models are loaded when they are first needed."""

    def __init__(self, config: Config, *, embedder: Embedder | None = None) -> None:
        """`embedder` is one that is loaded already, used instead of the configured one."""
        self.config = config
        if embedder is not None:
            self.embedder = embedder

    @classmethod
    def configured(cls, **flags: Any) -> Self:
        """From file, environment and `flags`, which are nested like the configuration.

        Raises: ConfigurationError.
        """
        return cls(load_config(**flags))

    @cached_property
    def embedder(self) -> Embedder:
        """Turns texts into vectors; its model is loaded by the first text.

        Raises: NotPreparedError, UnknownModelError; DownloadError when a hub model cannot be fetched.
        """
        return load_embedder(self.config.models)

    @cached_property
    def index(self) -> Index:
        """The index, open for questions.

        Damaged search files are built again from the store first, and an older format is brought up to date.

        Raises: IndexNotFoundError, IndexMismatchError, IndexDamagedError when the store itself is damaged.
        """
        try:
            return self.open_index(self.config.index)
        except (IndexDamagedError, IndexOutdatedError) as reason:
            _log.warning("%s. That is tried now, from the stored documents", reason)
            with self.writer() as writer:
                writer.publish()
            return self.open_index(self.config.index)

    def open_index(self, folder: Path) -> Index:
        """Any index of this embedder, searched as configured.

        Raises: IndexNotFoundError, IndexMismatchError, IndexDamagedError.
        """
        return Index(folder, self.embedder, self.search_settings(), load_reranker=self._reranker)

    @cached_property
    def retriever(self) -> Retriever:
        """Passages for questions."""
        return self.retriever_over(self.index)

    def retriever_over(self, index: Index) -> Retriever:
        """Passages of any index, as many and as long as configured."""
        section = self.config.retrieval
        wanted = {"hypothetical": section.hypothetical, "decompose": section.decompose}
        expander = QueryExpander(lambda: self.generator, **wanted) if any(wanted.values()) else None
        return Retriever(index=index, k=section.k, expander=expander, surroundings_tokens=section.surroundings_tokens)

    @cached_property
    def generator(self) -> Generator:
        """The local model, or the server when one is configured."""
        if self.config.server.url:
            return server_generator(self.config.server)
        return self._local_generator(lambda _: None)

    def load_generator(self, progress: Callable[[models.Progress], None]) -> None:
        """Loads the generator unless it is loaded; `progress` is told of what has to be done first, once.

        Raises: ModelError.
        """
        if "generator" not in self.__dict__ and not self.config.server.url:
            self.generator = self._local_generator(progress)

    def memory_plan(self) -> models.MemoryPlan:
        """How the models are run so that an answer fits into the memory that is free now.

        Raises: ModelError for a model that is not on this machine, or does not tell its sizes.
        """
        section = self.config.generation
        context = section.prompt_tokens + section.max_tokens
        return plan_memory(self.config.models, context, local=not self.config.server.url)

    @cached_property
    def _memory_at_start(self) -> models.MemoryPlan | None:
        """The plan before anything is loaded, told where it had to leave something out; None where none can be made."""
        try:
            plan = self.memory_plan()
        except models.ModelError:
            return None
        if plan.reason != models.EVERYTHING_FITS:
            _log.warning("memory: %s", plan.told())
        return plan

    def _local_generator(self, progress: Callable[[models.Progress], None]) -> Generator:
        return load_generator(self.config.models, self.config.models.generator, progress, self._memory_at_start)

    @property
    def _prompt_tokens(self) -> int:
        """Most tokens of a prompt: those asked for, or fewer where memory has no room for them."""
        section = self.config.generation
        plan = None if self.config.server.url else self._memory_at_start
        return min(section.prompt_tokens, plan.context_tokens - section.max_tokens) if plan else section.prompt_tokens

    @cached_property
    def answerer(self) -> Answerer:
        """Answers with citations."""
        return self.answerer_over(self.retriever)

    @cached_property
    def probe(self) -> Probe | None:
        """What reads the generator's states; None for most generators."""
        return None if self.config.server.url else Probe.of(self.generator.name)

    @property
    def signalling(self) -> str:
        """The generator, and the revision of its probe: what gives the signals that a calibration weighs."""
        return f"{self.generator.name}+{self.probe.revision}" if self.probe else self.generator.name

    def answerer_over(self, retriever: Search) -> Answerer:
        """Answers from the passages of any search. All models are loaded, so that the first answer need not wait."""
        prompt_tokens = self._prompt_tokens  # before anything takes the memory that it counts
        self.embedder.load()
        section = self.config.generation
        return Answerer(
            retriever,
            self.generator,
            self.embedder.encode_queries,
            sampling=section.sampling(),
            options=section.options(),
            calibration=stored_calibration(
                self.config.index / CALIBRATION_FILE,
                self.signalling,
                self.embedder.name,
                otherwise=PROBED if self.probe else UNCALIBRATED,
            ),
            probe=self.probe,
            prompt_tokens=prompt_tokens,
            language=self.config.language,
            examples=load_examples(section.examples),
            entailment=load_entailment(self.config.models) if self.config.models.entailment else None,
        )

    @cached_property
    def media(self) -> Media:
        """Speech and pictures."""
        return Media(self.config)

    def packing(self, question: str, hits: Sequence[Hit]) -> Packing:
        """How the prompt of an answer fills up with these hits; the generator's tokenizer is all that is loaded.

        Raises: ModelError for a generator that is not there.
        """
        section = self.config.generation
        count_tokens, context = self._prompt_counter
        wanted = self.config.language
        language = detect_language(question, candidates=LANGUAGES) if wanted == "auto" else wanted
        budget = min(self._prompt_tokens, context - section.max_tokens)
        margin = section.passage_margin / weight_of_deviations(self.retriever.corpus_size)
        return packing(question, hits, language, max_tokens=budget, count_tokens=count_tokens, margin=margin)

    @cached_property
    def _prompt_counter(self) -> tuple[Callable[[Sequence[Message]], int], int]:
        """Counts the tokens of a prompt; and how many the generator takes, the reply included."""
        if self.config.server.url or "generator" in vars(self):
            return self.generator.count_tokens, self.generator.context_tokens
        return prompt_counter(self.config.models)

    def search_settings(self) -> SearchSettings:
        """How the channels of search are combined."""
        section = self.config.retrieval
        return SearchSettings(
            channel=section.channel,
            fusion=section.fusion,
            dense_weight=section.dense_weight,
            candidates=section.candidates,
            rerank_candidates=section.rerank_candidates,
            rerank_margin=section.rerank_margin,
            collapse=section.collapse,
            diversity=section.diversity,
            per_source=section.per_source,
        )

    def answer_settings(self) -> dict[str, str]:
        """What decides an answer besides its question, by name."""
        sections = {
            "retrieval": self.config.retrieval,
            "generation": self.config.generation,
            "server": self.config.server.model,
            "models": (self.config.models.embedder, self.config.models.generator, self.config.models.dtype),
        }
        if self.config.models.quantisation != "none":  # so that answers kept from before there was a choice still count
            sections["quantisation"] = self.config.models.quantisation
        if self.config.models.entailment:
            sections["entailment"] = self.config.models.entailment
        if self.config.models.adapter:
            sections["adapter"] = models.adapter_revision(self.config.models.adapter)
        return {name: str(value) for name, value in sections.items()}

    def writer(self) -> IndexWriter:
        """The writer of the index, to be used in a `with`."""
        if not (self.config.index / "fuente.db").exists():
            # A new index needs the model anyhow, and one that cannot be loaded should leave nothing behind.
            self.embedder.load()
        return IndexWriter(self.config.index, self.embedder, self._chunker(), self.identity())

    def ingest(
        self,
        paths: Sequence[str | Path],
        *,
        collection: str = DEFAULT_COLLECTION,
        keep_missing: bool = False,
        progress: Progress | None = None,
    ) -> SyncReport:
        """Makes a collection equal to these files and folders; `keep_missing` keeps what vanished from a folder.

        Raises: UnreadableFileError for a path that does not exist, IndexBusyError, IndexMismatchError, ValueError for
        a name that no collection can have.
        """
        # Before anything is loaded or made.
        check_collection(collection)
        section = self.config.ingest
        files = source_files(paths, index=self.config.index, pictures=self.media.wants_pictures)
        pictures = self.media.pictures if self.media.wants_pictures else None
        roots = [] if keep_missing else files.folders
        report = progress or (lambda _: None)
        # Closed, not entered: its process starts with the first file that is new.
        with closing(SandboxedReader(max_bytes=section.max_file_mb * 2**20, timeout_s=section.timeout_s)) as reader:
            with self.writer() as writer:
                found = writer.sync(
                    files.texts, roots, reader.read, collection=collection, skipped=files.left_out, progress=report
                )
            if pictures is None:
                return found
            of_pictures = pictures.sync(files, reader, collection=collection, roots=roots, progress=report)
        return with_pictures(found, of_pictures)

    def follow(
        self,
        paths: Sequence[str | Path],
        *,
        on_report: Callable[[SyncReport], None],
        on_error: Callable[[Exception], None] | None = None,
        stop: Event | None = None,
        collection: str = DEFAULT_COLLECTION,
        keep_missing: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Ingests these files and folders, and again whenever they change, until `stop` is set.

        `on_report` is given the first report and then each that tells of a change. `on_error` is given what keeps a
        later sync from being done, such as an index that another process writes to; by default it is logged. It is
        tried again soon.

        Raises: what `ingest` raises, at the first sync only.
        """
        # Imported here: the command line watches only when it is asked to.
        from rag.watching import follow, settled_changes

        roots = [named_path(path) for path in paths]
        index, settle_s = named_path(self.config.index), self.config.ingest.settle_s
        suffixes = read_suffixes(pictures=self.media.wants_pictures)
        follow(
            lambda: self.ingest(roots, collection=collection, keep_missing=keep_missing, progress=progress),
            settled_changes(roots, index=index, stop=stop or Event(), settle_s=settle_s, suffixes=suffixes),
            on_report,
            on_error or (lambda error: _log.warning("%s", error)),
        )

    def reindex(self, *, progress: Progress | None = None) -> SyncReport:
        """Cuts and embeds the stored texts anew, as configured now."""
        report = progress or (lambda _: None)
        with self.writer() as writer:
            found = writer.reindex(progress=report)
        if self.media.has_pictures:
            self.media.pictures.reindex(progress=report)
        return found

    def remove(self, sources: Sequence[str], *, collection: str | None = None) -> None:
        """Takes files out of a collection, or of all.

        Raises: UnknownSourceError.
        """
        images = {info.source for info in self.media.images()}
        if texts := [source for source in sources if source not in images]:
            with self.writer() as writer:
                writer.remove(texts, collection=collection)
        if self.media.has_pictures:
            self.media.pictures.remove(sources, collection=collection)

    def required_models(self) -> list[str]:
        """Names of the catalogue that this configuration needs."""
        section = self.config.models
        wanted = [section.embedder] if self.config.server.url else [section.embedder, section.generator]
        if self.config.retrieval.rerank == "likelihood" and section.reranker:
            wanted.append(section.reranker)
        return [name for name in wanted if name in models.CATALOG]

    def _reranker(self) -> Reranker | None:
        """The second stage of search.

        Raises: ModelError for a cross-encoder that cannot be used, ConfigurationError.
        """
        wanted = self.config.retrieval.rerank
        if wanted == "none" or (wanted == "auto" and not self.embedder.has_token_states):
            return None
        if wanted in ("auto", "late"):
            return LateInteraction(self.embedder)
        if wanted == "likelihood":
            return CloseCalls(LateInteraction(self.embedder), self._likelihood)
        return load_cross_encoder(self.config.models, wanted)

    def _likelihood(self) -> Likelihood:
        named = self.config.models.reranker
        generator = load_generator(self.config.models, named, lambda _: None) if named else self.generator
        if not isinstance(generator, Likelihood):
            mend = "Set models.reranker to a local model, or retrieval.rerank to late"
            raise ConfigurationError(f"retrieval.rerank: {generator.name} tells no likelihoods. {mend}")
        return generator

    def _chunker(self) -> Chunker:
        section = self.config.ingest
        return Chunker(
            self.embedder.token_counter(), max_tokens=section.chunk_tokens, min_tokens=section.min_chunk_tokens
        )

    def identity(self) -> Identity:
        """What an index built with this configuration is built with."""
        embedder, section = self.embedder, self.config.ingest
        return Identity(
            embedder=embedder.name,
            revision=embedder.revision,
            dimension=embedder.dimension,
            query_prefix=embedder.query_prefix,
            passage_prefix=embedder.passage_prefix,
            chunk_tokens=section.chunk_tokens,
            min_chunk_tokens=section.min_chunk_tokens,
        )
