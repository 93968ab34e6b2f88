"""Questions become ranked chunks: dense and lexical channels, fused, and the best of them compared anew."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from threading import Lock

import numpy as np

from index.channels import ranked_by_channels
from index.embedder import Embedder, Vectors
from index.errors import IndexDamagedError, IndexMismatchError, IndexNotFoundError
from index.explanation import Explanation, Way, expected_passages
from index.filters import Filter
from index.fusion import standardised
from index.generation import Generation, open_current
from index.manifest import current_number
from index.ranking import Asked, Ranked, Ranking
from index.rerank import Candidate, Reranker
from index.selection import Taken
from index.settings import SearchSettings
from index.store import Store, embedded_text
from index.types import Channel, Hit, SourceInfo
from ingest.types import Document

# What the share of the question's words weighs against the cosine in deviations, in saying which chunks are promising.
# Chosen on half of the questions of five sets: of squad-es's the 20 most promising hold the right one of 99.2 %.
_COVERAGE = 4.4
# Hits read from the store at once, where more are needed than were compared.
_BATCH = 20


class Index:
    """A published index, open for questions; follows new generations by itself."""

    def __init__(
        self,
        folder: Path,
        embedder: Embedder,
        settings: SearchSettings | None = None,
        *,
        load_reranker: Callable[[], Reranker | None] = lambda: None,
    ) -> None:
        """The first question that finds something loads the second stage, if there is one.

        Raises: IndexNotFoundError, IndexMismatchError, IndexDamagedError.
        """
        self.folder = folder
        self.embedder = embedder
        self.settings = settings or SearchSettings()
        self._store = Store.open(folder / "fuente.db")
        self._store.is_sealed()
        self._load_reranker = load_reranker
        self._refresh_lock = Lock()
        self._generation = self._open_current()

    @property
    def generation(self) -> Generation:
        """The generation that the next question is answered from: the newest published.

        Raises: IndexNotFoundError, IndexMismatchError, IndexDamagedError for what was published meanwhile.
        """
        if current_number(self.folder) != self._generation.number:
            with self._refresh_lock:
                if current_number(self.folder) != self._generation.number:
                    # The old one is let go when the last search that uses it drops it.
                    self._generation = self._open_current()
        return self._generation

    @cached_property
    def reranker(self) -> Reranker | None:
        """The second stage, loaded; None when there is none."""
        return self._load_reranker()

    def close(self) -> None:
        """Lets the files be collected; the index answers no more."""
        self._generation.close()

    def search(
        self,
        question: str,
        k: int,
        *,
        settings: SearchSettings | None = None,
        where: Filter | None = None,
        passage: str | None = None,
    ) -> list[Hit]:
        """The `k` best chunks for a question, best first, out of those that meet the filter.

        A `passage` that might answer it is meant as well: the dense channel goes by the mean of both vectors.
        """
        _positive(k)
        if not len(self.generation.ids):
            return []
        chosen = settings or self.settings
        (asked,) = self._asked([question], where, passage)
        return self._answered(asked, k, chosen)[0].hits

    def search_many(
        self,
        questions: Sequence[str],
        k: int,
        *,
        settings: SearchSettings | None = None,
        where: Filter | None = None,
    ) -> list[list[Hit]]:
        """The `k` best chunks for each question, all answered from one generation."""
        _positive(k)
        if not len(self.generation.ids):
            return [[] for _ in questions]
        chosen = settings or self.settings
        return [self._answered(asked, k, chosen)[0].hits for asked in self._asked(questions, where)]

    def explain(
        self,
        question: str,
        k: int,
        *,
        settings: SearchSettings | None = None,
        where: Filter | None = None,
        expect: str | None = None,
        passage: str | None = None,
    ) -> Explanation:
        """How `search` finds its hits, and what becomes of the passages that are `expected`.

        `expect` is words of a passage as they stand in it, or a source as filters name it. Of what it means the three
        passages nearest to the question are explained.

        Raises: ValueError for an expectation that no passage meets, or an index without passages.
        """
        _positive(k)
        chosen = settings or self.settings
        (asked,) = self._asked([question], where, passage)
        if not len(asked.generation.ids):
            raise ValueError(f"{self.folder} holds no passages. Run `fuente ingest PATH` first")
        taken, ranked = self._answered(asked, k, chosen)
        candidates = list(self._read(asked, ranked, chosen.channel))
        way = Way(asked, ranked, taken, candidates, diverse=chosen.diversity > 0)
        expected = []
        if expect is not None:
            # Also those that do not meet the filter.
            meant = expected_passages(asked, self._store, expect)
            expected = self._hits(replace(asked, where=None), meant, chosen.channel)
        return way.explanation(k, expected)

    def search_vector(self, vector: Vectors, k: int, *, where: Filter | None = None) -> list[Hit]:
        """The `k` chunks nearest to a unit vector (D,) float32, best first, out of those that meet the filter."""
        if vector.shape != (self.embedder.dimension,):
            raise ValueError(f"the vector has shape {vector.shape}, it must be ({self.embedder.dimension},)")
        _positive(k)
        generation = self.generation
        if not len(generation.dense):
            return []
        allowed = generation.mask(where, self._store) if where else None
        found, places = generation.dense.search(vector[None, :], k, allowed)  # (1, K)
        positions, scores = places[0][places[0] >= 0], found[0][places[0] >= 0]
        ranking = Ranking(positions, scores, scores, np.zeros_like(scores))
        return self._hits(Asked("", vector, generation, where, allowed), ranking, "dense")

    def document(self, document_id: str) -> Document | None:
        """A document of the current generation."""
        generation = self.generation  # held until the store has answered
        return self._store.document(document_id, generation.number)

    def documents_of(self, sources: Sequence[str], *, collection: str | None = None) -> dict[str, Document]:
        """The documents that these sources show in a collection, or in the first that has them; others are left out."""
        generation = self.generation
        return self._store.documents_of(sources, generation.number, collection)

    def sources(self) -> list[SourceInfo]:
        """Every file of the current generation."""
        generation = self.generation
        return self._store.source_infos(generation.number)

    def collections(self) -> list[str]:
        """Names of the collections of the current generation."""
        generation = self.generation
        return self._store.collections(generation.number)

    def _asked(self, questions: Sequence[str], where: Filter | None, passage: str | None = None) -> list[Asked]:
        generation = self.generation
        vectors = self.embedder.encode_queries(questions)  # (Q, D)
        if passage:
            vectors = vectors + self.embedder.encode_passages([passage])
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        allowed = generation.mask(where, self._store) if where else None
        pairs = zip(questions, vectors, strict=True)
        return [Asked(question, vector, generation, where, allowed) for question, vector in pairs]

    def _answered(self, asked: Asked, k: int, settings: SearchSettings) -> tuple[Taken, Ranked]:
        """What is taken of the candidates, and these."""
        taken = Taken()
        ranked = self._ranked(asked, k, max(k, settings.candidates), settings)
        drawn = self._drawn(asked, ranked, k, settings, taken)
        settings.selection.take(drawn, k, partial(_likeness, asked.generation), taken)
        return taken, ranked

    def _drawn(self, asked: Asked, ranked: Ranked, k: int, settings: SearchSettings, taken: Taken) -> Iterator[Hit]:
        """All hits there are, best first; the channels put more forward when all of theirs are drawn."""
        generation, width, known = asked.generation, max(k, settings.candidates), 0
        seen: set[int] = set()
        while True:
            yield from (hit for hit in self._read(asked, ranked, settings.channel) if hit.chunk.id not in seen)
            if len(ranked.order) < width or width >= len(generation.ids):
                return
            seen |= set(generation.ids[ranked.ranking.positions].tolist())
            width *= 4
            full = {hit.chunk.document_id for hit in taken.capped}
            if len(full) > known:
                # Of a document that gives no more, thousands of chunks may rank before the others.
                others = ~generation.of_documents(full)
                asked = replace(asked, allowed=others if asked.allowed is None else asked.allowed & others)
                known = len(full)
            ranked = self._ranked(asked, k, width, settings)

    def _ranked(self, asked: Asked, k: int, width: int, settings: SearchSettings) -> Ranked:
        """What the channels put forward, `width` each, in the order in which it is to be taken."""
        generation = asked.generation
        ranking = ranked_by_channels(asked, width, settings)
        if self.reranker is None or not len(ranking.positions):
            order = np.arange(len(ranking.positions))
            return Ranked(ranking, order, self._hits(asked, ranking.at(order[:k]), settings.channel))
        coverage = generation.lexical.coverage(asked.question, ranking.positions)
        promise = standardised(ranking.dense, generation.background @ asked.vector) + _COVERAGE * coverage
        order = np.lexsort((generation.ids[ranking.positions], -promise))
        size = settings.rerank_candidates if _is_close(promise[order], settings.rerank_margin) else 0
        head = self._hits(asked, ranking.at(order[: max(k, size)]), settings.channel)
        if size:
            head = _reranked(self.reranker, asked.question, head, coverage[order[:size]])
        return Ranked(ranking, order, head, min(size, len(head)), coverage, promise)

    def _read(self, asked: Asked, ranked: Ranked, channel: Channel) -> Iterator[Hit]:
        """The hits of a ranking, best first; those behind its head are read from the store as they are drawn."""
        yield from ranked.head
        for start in range(len(ranked.head), len(ranked.order), _BATCH):
            yield from self._hits(asked, ranked.ranking.at(ranked.order[start : start + _BATCH]), channel)

    def _hits(self, asked: Asked, ranking: Ranking, channel: Channel) -> list[Hit]:
        generation = asked.generation
        ids = generation.ids[ranking.positions].tolist()
        stored = self._store.chunks(ids, generation.number, asked.where)
        missing = [chunk_id for chunk_id in ids if chunk_id not in stored]
        if missing:
            self._store.require_whole()
            reason = f"chunk {missing[0]} is in {generation.folder.name} but not in the store"
            raise IndexDamagedError(self.folder, reason, "Run `fuente ingest` once more to rebuild it")
        return [
            Hit(
                chunk=stored[chunk_id].chunk,
                score=float(ranking.scores[i]),
                rank=i + 1,
                channel=channel,
                source=stored[chunk_id].source,
                language=stored[chunk_id].language,
                dense=float(ranking.dense[i]),
                lexical=float(ranking.lexical[i]),
                metadata=stored[chunk_id].metadata,
                collection=stored[chunk_id].collection,
            )
            for i, chunk_id in enumerate(ids)
        ]

    def _open_current(self) -> Generation:
        generation = open_current(self.folder)
        if generation is None:
            raise IndexNotFoundError(self.folder, "nothing is published yet", "Run `fuente ingest PATH` first")
        try:
            self._check_identity(generation)
        except IndexMismatchError:
            generation.close()
            raise
        return generation

    def _check_identity(self, generation: Generation) -> None:
        built = generation.manifest.identity
        for field, given in (
            ("embedder", self.embedder.name),
            ("revision", self.embedder.revision),
            ("dimension", self.embedder.dimension),
            ("query_prefix", self.embedder.query_prefix),
            ("passage_prefix", self.embedder.passage_prefix),
        ):
            if built.get(field) != given:
                reason = f"it was built with {field} {built.get(field)!r}, not {given!r}"
                mend = "Configure the same embedder, or run `fuente reindex` to embed the stored texts anew"
                raise IndexMismatchError(self.folder, reason, mend)


def _positive(k: int) -> None:
    if k < 1:
        raise ValueError(f"k={k} must be at least 1")


def _reranked(reranker: Reranker, question: str, hits: Sequence[Hit], coverage: Vectors) -> list[Hit]:
    """Hits, most promising first, with the first len(coverage) of them in the order of the second stage."""
    size = len(coverage)
    candidates = [
        Candidate(embedded_text(hit.chunk.text, hit.chunk.headings), hit.dense, float(share))
        for hit, share in zip(hits[:size], coverage, strict=True)
    ]
    scores = reranker.scores(question, candidates)
    if scores.shape != (size,):
        raise ValueError(f"the reranker returned scores of shape {scores.shape}, it must be ({size},)")
    # Of equal ones the more promising comes first.
    found = [replace(hits[place], rerank=float(scores[place])) for place in np.argsort(-scores, kind="stable")]
    return [replace(hit, rank=rank) for rank, hit in enumerate([*found, *hits[size:]], 1)]


def _likeness(generation: Generation, hits: Sequence[Hit]) -> Vectors:
    """How alike hits are, two by two (P, P): 1 for equal vectors, 0 for as much as to an ordinary chunk."""
    vectors = generation.dense.vectors(generation.positions([hit.chunk.id for hit in hits]))  # (P, D)
    ordinary = float((generation.background @ vectors.T).mean())
    return np.asarray((vectors @ vectors.T - ordinary) / max(1.0 - ordinary, 1e-6), np.float32)


def _is_close(promise: Vectors, margin: float) -> bool:
    """Whether the second of chunks, most promising first, is within `margin` of the first.

    Where it is not, the first is right on xquad.es as often with a second stage as without, which is the dear one.
    """
    return len(promise) > 1 and float(promise[0] - promise[1]) < margin
