"""The pictures of the documents: found by what a question says that they show. No answer is made of them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from index.errors import IndexNotFoundError
from index.filters import Filter
from index.integrity import Examination, examine
from index.manifest import current_number
from index.pictures import PictureEmbedder, PictureFiles, picture_chunks, picture_document
from index.relations import ProgressFunction, silent
from index.search import Index
from index.settings import SearchSettings
from index.store import Store
from index.types import Identity, SourceInfo, SyncReport
from index.writer import IndexWriter
from index.writer import ProgressFunction as SyncFunction
from ingest.pictures import IMAGE_SUFFIXES
from ingest.sandbox import SandboxedReader
from ingest.types import Document
from rag.sources import SourceFiles, pictures_folder

_STORE = "fuente.db"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PictureHit:
    """A picture found for a question. `rank` counts from 1, `score` is the cosine of the two, which tells an order
    and nothing by itself; `content` is a small copy as a WebP file, which lies at `path`."""

    source: str
    page: int | None
    collection: str
    rank: int
    score: float
    content: bytes
    path: Path


class PictureLibrary:
    """The pictures beside an index."""

    def __init__(self, index: Path, embedder: PictureEmbedder) -> None:
        self._folder = pictures_folder(index)
        self._files = copies(index)
        self._embedder = embedder

    def sync(
        self,
        files: SourceFiles,
        reader: SandboxedReader,
        *,
        collection: str,
        roots: Sequence[Path],
        progress: SyncFunction,
    ) -> SyncReport:
        """Makes the pictures of a collection equal to those of these files.

        Raises: IndexBusyError, IndexMismatchError.
        """

        def read(path: Path, source: str) -> Document:
            pictures, identity = reader.pictures(path)
            if pictures.left_out:
                reason = "of its pictures are damaged, too large or too many, and left out"
                _log.warning("%s: %d %s", source, pictures.left_out, reason)
            addresses = [self._files.add(picture) for picture in pictures.found]
            return picture_document(path, source, identity, pictures.found, addresses)

        with self._writer() as writer:
            report = writer.sync(files.pictures, roots, read, collection=collection, progress=progress)
            self._sweep()
        return report

    def remove(self, sources: Sequence[str], *, collection: str | None) -> None:
        """Takes the pictures of these files out of a collection, or of all."""
        with self._writer() as writer:
            writer.remove(sources, collection=collection, missing_ok=True)
            self._sweep()

    def reindex(self, *, progress: SyncFunction) -> None:
        """Embeds the pictures anew, as configured now."""
        with self._writer() as writer:
            writer.reindex(progress=progress)

    def search(self, question: str, k: int, *, where: Filter | None = None) -> list[PictureHit]:
        """The `k` pictures that a question describes best, out of those that meet the filter; they have no language.

        Raises: IndexNotFoundError before the first ingest, IndexMismatchError, IndexDamagedError.
        """
        where = replace(where, languages=()) if where else None
        hits = self._index.search(question, k, where=where or None)
        return [
            PictureHit(
                source=hit.source,
                page=hit.chunk.page,
                collection=hit.collection,
                rank=hit.rank,
                score=hit.dense,
                content=self._files.content(hit.chunk.text),
                path=self._files.path(hit.chunk.text),
            )
            for hit in hits
        ]

    @cached_property
    def _index(self) -> Index:
        settings = SearchSettings(channel="dense", collapse=False)
        return Index(self._folder, self._embedder, settings)

    def _writer(self) -> IndexWriter:
        embedder = self._embedder
        identity = Identity(embedder.name, embedder.revision, embedder.dimension, "", "", 0, 0)
        return IndexWriter(self._folder, embedder, picture_chunks, identity)

    def _sweep(self) -> None:
        """Deletes the copies of pictures that no generation holds any more."""
        self._files.keep(Store.open(self._folder / _STORE).chunk_texts())


def copies(index: Path) -> PictureFiles:
    """The small copies of the pictures of an index."""
    return PictureFiles(pictures_folder(index) / "copies")


def image_sources(index: Path) -> list[SourceInfo]:
    """The image files whose pictures are indexed; no model is loaded."""
    folder = pictures_folder(index)
    if not (folder / _STORE).exists():
        return []
    infos = Store.open(folder / _STORE).source_infos(current_number(folder))
    return [info for info in infos if is_image(info.source)]


def is_image(source: str) -> bool:
    """Whether a file is nothing but a picture."""
    return Path(source).suffix.lower() in IMAGE_SUFFIXES


def with_pictures(report: SyncReport, pictures: SyncReport) -> SyncReport:
    """The report of texts with what is to be told of pictures.

    Of a document, its text tells how it went; what is said of its pictures is that they cannot be read when it can.
    """
    known = {failure.source for failure in report.failed}
    lists: dict[str, Any] = {
        name: [*getattr(report, name), *filter(is_image, getattr(pictures, name))]
        for name in ("added", "changed", "unchanged", "removed")
    }
    failed = [*report.failed, *(failure for failure in pictures.failed if failure.source not in known)]
    return replace(report, **lists, failed=failed, pictures=pictures.chunks)


def examined(index: Path, progress: ProgressFunction = silent) -> Examination:
    """What `examine` finds of an index, and of the pictures beside it.

    Raises: what `examine` raises.
    """
    found, folder = examine(index, progress), pictures_folder(index)
    try:
        pictures = examine(folder, progress)
    except IndexNotFoundError:
        return found
    addresses = () if pictures.damage else Store.open(folder / _STORE).chunk_texts()
    return replace(
        found,
        findings=(*found.findings, *pictures.findings, *copies(index).findings(addresses)),
        vectors=found.vectors + pictures.vectors,
        files=found.files + pictures.files + len(addresses),
        size_bytes=found.size_bytes + pictures.size_bytes,
    )
