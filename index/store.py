"""SQLite holds the truth: documents, sources, chunks and vectors, each valid for a range of generations.

A row is part of generation g when `added <= g` and (`removed` is null or `removed > g`). Writers only add rows
or close their range, for the generation that they are about to publish; readers ask for one published
generation and so never see half a change. Closed rows are deleted once no generation on disk needs them.
Every row is compared with its seal when it is read.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.database import Database
from index.embedder import Vectors
from index.filters import Filter, condition
from index.schema import ORDERED_CHUNKS, StoredChunk, chunk_of, document_of, sound, valid
from index.types import SourceInfo
from ingest.types import Document

# Longer titles, such as a paragraph taken for one, would leave the model no room for the text.
_MAX_TITLE_CHARACTERS = 120
# Above every document id, whose characters are those of a hexadecimal number.
_ABOVE = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Range:
    """The documents with `low <= id < high`."""

    low: str = ""
    high: str = _ABOVE


@dataclass(frozen=True, slots=True)
class Outline:
    """What tells the chunks of a range apart, by position: `keys` are those of their vectors."""

    ids: NDArray[np.int64]
    document_ids: list[str]
    languages: list[str]
    keys: list[bytes]


EVERYTHING = Range()

# The first source of the document `d` that is part of the generation and meets the filter.
_SHOWN = (
    f"(SELECT json_array(s.path, s.collection, {sound('sources', 's')}) FROM sources s"
    f" WHERE s.document = d.number AND {valid('s')} AND {{filter}} ORDER BY s.path, s.collection LIMIT 1)"
)
_DOCUMENT = (
    "SELECT d.id, d.sha256, d.language, d.metadata, t.text, t.pages, t.headings, t.blocks,"
    f" {sound('documents', 'd')} AND {sound('texts', 't')}"
)


class Store(Database):
    """What readers ask of the SQLite file of an index."""

    def source_infos(self, generation: int) -> list[SourceInfo]:
        """Every source of a generation, by path."""
        query = (
            "SELECT s.path, s.collection, d.id, d.language, d.page_count, d.metadata, d.characters, s.modified_ns,"
            f" (SELECT count(*) FROM chunks c WHERE c.document = d.number AND {valid('c')}) AS chunks,"
            f" {sound('sources', 's')} AND {sound('documents', 'd')} AS sound"
            " FROM sources s JOIN documents d ON d.number = s.document"
            f" WHERE {valid('s')} ORDER BY s.path, s.collection"
        )
        rows = self._rows(query, {"generation": generation})
        return [
            SourceInfo(
                source=row["path"],
                document_id=row["id"],
                language=row["language"],
                chunks=row["chunks"],
                characters=row["characters"],
                pages=row["page_count"],
                metadata=json.loads(row["metadata"]),
                collection=row["collection"],
                modified_ns=row["modified_ns"],
            )
            for row in map(self._checked, rows)
        ]

    def collections(self, generation: int) -> list[str]:
        """Names of the collections that hold something in a generation."""
        query = f"SELECT DISTINCT s.collection FROM sources s WHERE {valid('s')} ORDER BY s.collection"
        return [row[0] for row in self._rows(query, {"generation": generation})]

    def counts(self, generation: int) -> tuple[int, int]:
        """Number of documents and chunks of a generation."""
        counted = (f"(SELECT count(*) FROM {table} t WHERE {valid('t')})" for table in ("documents", "chunks"))
        documents, chunks = self._rows(f"SELECT {', '.join(counted)}", {"generation": generation})[0]
        return documents, chunks

    def outline(self, generation: int, documents: Range = EVERYTHING) -> Outline:
        """What the chunks of a generation are, in the order of their positions; their texts are not read."""
        ids: list[int] = []
        outline = Outline(np.zeros(0, np.int64), [], [], [])
        query = f"SELECT c.id, d.id, d.language, c.vector_key {ORDERED_CHUNKS}"
        with self._connect() as connection:
            for chunk_id, document_id, language, key in connection.execute(query, _bounds(generation, documents)):
                ids.append(chunk_id)
                outline.document_ids.append(document_id)
                outline.languages.append(language)
                outline.keys.append(key)
        return Outline(np.array(ids, np.int64), outline.document_ids, outline.languages, outline.keys)

    def passages(self, generation: int, documents: Range = EVERYTHING) -> Iterator[tuple[str, str]]:
        """(text with its headings, language) of each chunk in the order of their positions.

        Raises: IndexDamagedError.
        """
        query = f"SELECT c.text, c.headings, d.language, {sound('chunks', 'c')} AS sound {ORDERED_CHUNKS}"
        with self._connect() as connection:
            for row in map(self._checked, connection.execute(query, _bounds(generation, documents))):
                yield embedded_text(row["text"], json.loads(row["headings"])), row["language"]

    def vectors(
        self, generation: int, dimension: int, documents: Range = EVERYTHING, batch_size: int = 4096
    ) -> Iterator[Vectors]:
        """Vectors (≤ batch_size, D) float32 of the chunks in the order of their positions.

        Raises: IndexDamagedError.
        """
        query = f"SELECT v.vector, {sound('vectors', 'v')} AS sound {ORDERED_CHUNKS}".replace(
            "WHERE", "CROSS JOIN vectors v ON v.key = c.vector_key WHERE", 1
        )
        with self._connect() as connection:
            cursor = connection.execute(query, _bounds(generation, documents))
            while rows := cursor.fetchmany(batch_size):
                flat = np.frombuffer(b"".join(self._checked(row)["vector"] for row in rows), np.float32)
                yield flat.reshape(-1, dimension)  # (B, D)

    def chunks(self, ids: Sequence[int], generation: int, where: Filter | None = None) -> dict[int, StoredChunk]:
        """The chunks with these ids in a generation, each with the first of its sources that meets the filter.

        Raises: IndexDamagedError.
        """
        if not ids:
            return {}
        text, parameters = condition(where)
        query = (
            'SELECT c.id, d.id AS document_id, c.text, c."start", c."end", c.page, c.headings, d.language,'
            f" d.metadata, {_SHOWN.format(filter=text)} AS shown,"
            f" {sound('chunks', 'c')} AND {sound('documents', 'd')} AS sound"
            " FROM chunks c JOIN documents d ON d.number = c.document"
            f" WHERE c.id IN (SELECT value FROM json_each(:ids)) AND {valid('c')}"
        )
        bound = {**parameters, "ids": json.dumps(list(ids)), "generation": generation}
        return {row["id"]: chunk_of(self._with_source(row)) for row in self._rows(query, bound)}

    def matching(self, where: Filter, generation: int) -> list[str]:
        """Ids of the documents of a generation that meet a filter, in order."""
        text, parameters = condition(where)
        query = (
            "SELECT DISTINCT d.id FROM sources s JOIN documents d ON d.number = s.document"
            f" WHERE {valid('s')} AND {text} ORDER BY d.id"
        )
        return [row[0] for row in self._rows(query, {**parameters, "generation": generation})]

    def chunk_texts(self) -> set[str]:
        """The texts of the chunks of every generation that is kept.

        Raises: IndexDamagedError.
        """
        rows = self._rows(f"SELECT c.text, {sound('chunks', 'c')} AS sound FROM chunks c")
        return {row["text"] for row in map(self._checked, rows)}

    def document(self, document_id: str, generation: int) -> Document | None:
        """A document of a generation, with the first of its sources.

        Raises: IndexDamagedError.
        """
        query = (
            f"{_DOCUMENT} AS sound, {_SHOWN.format(filter=1)} AS shown FROM documents d"
            f" LEFT JOIN texts t ON t.document = d.number WHERE d.id = :id AND {valid('d')}"
        )
        rows = self._rows(query, {"id": document_id, "generation": generation})
        return document_of(self._with_source(rows[0])) if rows else None

    def documents_of(
        self, sources: Sequence[str], generation: int, collection: str | None = None
    ) -> dict[str, Document]:
        """The documents that these sources show in a collection, or in the first that has them, by source.

        Raises: IndexDamagedError.
        """
        query = (
            f"{_DOCUMENT} AND {sound('sources', 's')} AS sound, s.path AS source FROM sources s"
            " JOIN documents d ON d.number = s.document LEFT JOIN texts t ON t.document = d.number"
            f" WHERE s.path IN (SELECT value FROM json_each(:sources)) AND {valid('s')}"
            " AND (:collection IS NULL OR s.collection = :collection) ORDER BY s.collection DESC"
        )
        bound = {"sources": json.dumps(list(sources)), "generation": generation, "collection": collection}
        return {row["source"]: document_of(dict(self._checked(row))) for row in self._rows(query, bound)}

    def documents(self, generation: int) -> Iterator[Document]:
        """Every document of a generation, by id."""
        query = f"SELECT d.id FROM documents d WHERE {valid('d')} ORDER BY d.id"
        for row in self._rows(query, {"generation": generation}):
            document = self.document(row["id"], generation)
            if document is not None:
                yield document

    def _with_source(self, row: sqlite3.Row) -> dict[str, Any]:
        """The row, checked, with the columns of the source in its column `shown`."""
        self._checked(row)
        path, collection, is_sound = json.loads(row["shown"] or "[null, null, 0]")
        if not is_sound:
            raise self._damaged("a source of a stored document differs from its checksum, or is lost")
        return {**dict(row), "source": path, "collection": collection}


def embedded_text(text: str, headings: Sequence[str]) -> str:
    """What is embedded and indexed for a chunk: the titles above it, then its text."""
    titles = " > ".join(title[:_MAX_TITLE_CHARACTERS] for title in headings)
    return f"{titles}\n{text}" if titles else text


def _bounds(generation: int, documents: Range) -> dict[str, int | str]:
    return {"generation": generation, "low": documents.low, "high": documents.high}
