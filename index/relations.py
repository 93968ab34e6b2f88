"""What must hold between the rows of a store, and where it does not."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from index.database import run_script
from index.schema import SCHEMA, VERSIONED, valid
from index.store import Store

ProgressFunction = Callable[[str, int, int], None]
"""Is told a stage in words, what is done of it and the total, 0 when unknown."""

# Embedders that compute in 16 bits give norms that are off by up to 5e-4.
_NORM_TOLERANCE = 1e-2
_BATCH = 4096


def silent(_stage: str, _done: int, _total: int) -> None:
    """Tells nobody how far it is."""


class InspectedStore(Store):
    """The store as it is read to be checked."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        log = path.with_name(f"{path.name}-wal")
        # The last connection that may write folds the log of a stopped writer into the file when it is closed.
        self._mode = "ro" if log.exists() and log.stat().st_size else "rw"

    def schema_differences(self) -> list[str]:
        """What is declared otherwise than by this program."""
        with self._connect() as connection:
            found = declared(connection)
        expected = expected_schema()
        different = sorted({str(name) for _, name, _ in found ^ expected})
        return [f"its tables are declared otherwise than by Fuente: {', '.join(different)[:200]}"] if different else []

    def count(self, table: str) -> int:
        """Number of rows of a table."""
        with self._connect() as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def rows_beyond(self, number: int) -> int:
        """Number of rows that were added or closed for a generation above `number`."""
        counts = (f"SELECT count(*) FROM {table} WHERE added > ?1 OR removed > ?1" for table in VERSIONED)
        with self._connect() as connection:
            return sum(connection.execute(query, (number,)).fetchone()[0] for query in counts)

    def broken_relations(self, number: int) -> list[str]:
        """Relations between rows that do not hold, each with how often and one example."""
        found = []
        with self._connect() as connection:
            for what, query in _RELATIONS:
                counted = f"SELECT count(*), min(name) FROM ({query})"
                count, example = connection.execute(counted, {"generation": number}).fetchone()
                found += [f"{count} {what}, such as {example}"] if count else []
        return found

    def wrong_texts(self, progress: ProgressFunction) -> list[str]:
        """Chunks whose text is not where it should be in their document, and documents of another length."""
        wrong = _Tally()
        total = self.count("texts")
        texts = "SELECT d.number, d.id, d.characters, t.text FROM texts t JOIN documents d ON d.number = t.document"
        cut = 'SELECT c.id, c.text, c."start", c."end" FROM chunks c WHERE c.document = ?'
        with self._connect() as connection:
            for done, (number, name, characters, text) in enumerate(connection.execute(texts)):
                progress("checking documents", done, total)
                if not isinstance(text, str) or len(text) != characters:
                    wrong.add("documents have another length than is recorded", name)
                for chunk_id, part, start, end in connection.execute(cut, (number,)):
                    if not _is_part(part, text, start, end):
                        wrong.add("chunks have another text than their document", chunk_id)
        progress("checking documents", total, total)
        return wrong.lines()

    def wrong_vectors(
        self, number: int, dimensions: tuple[int | None, int | None], progress: ProgressFunction
    ) -> list[str]:
        """Vectors that no embedder of the index can have given.

        `dimensions` are those of the vectors of the generation `number` and of those that are stored now.
        """
        total, done, wrong = self.count("vectors"), 0, 0
        published = f"EXISTS (SELECT 1 FROM chunks c WHERE c.vector_key = v.key AND {valid('c')})"
        live = "EXISTS (SELECT 1 FROM chunks c WHERE c.vector_key = v.key AND c.removed IS NULL)"
        expected = f"CASE WHEN {published} AND :published NOTNULL THEN :published WHEN {live} THEN :stored END"
        bound = {"generation": number, "published": dimensions[0], "stored": dimensions[1]}
        with self._connect() as connection:
            cursor = connection.execute(f"SELECT v.vector, {expected} FROM vectors v", bound)
            while rows := cursor.fetchmany(_BATCH):
                progress("checking vectors", done, total)
                done += len(rows)
                wrong += _wrong(rows)
        progress("checking vectors", total, total)
        return [f"{wrong} vectors are of another length than the embedder's, not finite or not unit"] * bool(wrong)


_WITHOUT_DOCUMENT = (
    "SELECT x.{column} AS name FROM {table} x LEFT JOIN documents d ON d.number = x.document WHERE d.number IS NULL"
    # A row whose range reaches beyond its document's would be shown without it.
    " OR x.added < d.added OR coalesce(x.removed, 1 << 62) > coalesce(d.removed, 1 << 62)"
)
_WITHOUT_SOURCE = (
    "SELECT d.id AS name FROM documents d WHERE {of_document}"
    " AND NOT EXISTS (SELECT 1 FROM sources s WHERE s.document = d.number AND {of_source})"
)
_RELATIONS: Sequence[tuple[str, str]] = (
    (
        "chunks have no vector",
        "SELECT c.id AS name FROM chunks c WHERE NOT EXISTS (SELECT 1 FROM vectors v WHERE v.key = c.vector_key)",
    ),
    (
        "chunks belong to a document that is missing or not live",
        _WITHOUT_DOCUMENT.format(column="id", table="chunks"),
    ),
    (
        "sources show a document that is missing or not live",
        _WITHOUT_DOCUMENT.format(column="path", table="sources"),
    ),
    (
        "live documents have no source",
        _WITHOUT_SOURCE.format(of_document="d.removed IS NULL", of_source="s.removed IS NULL"),
    ),
    (
        "published documents have no source",
        _WITHOUT_SOURCE.format(of_document=valid("d"), of_source=valid("s")),
    ),
    (
        "documents have no text",
        "SELECT d.id AS name FROM documents d WHERE NOT EXISTS (SELECT 1 FROM texts t WHERE t.document = d.number)",
    ),
)


class _Tally:
    """Counts what is wrong, and keeps the first example of each kind."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, object] = {}

    def add(self, what: str, example: object) -> None:
        self._counts[what] += 1
        self._examples.setdefault(what, example)

    def lines(self) -> list[str]:
        return [f"{count} {what}, such as {self._examples[what]}" for what, count in self._counts.items()]


@cache
def expected_schema() -> frozenset[tuple[str, str, str]]:
    """What `declared` gives for a store that Fuente made."""
    connection = sqlite3.connect(":memory:")
    try:
        run_script(connection, SCHEMA)
        return declared(connection)
    finally:
        connection.close()


def declared(connection: sqlite3.Connection) -> frozenset[tuple[str, str, str]]:
    """Type, name and SQL of everything in a database."""
    return frozenset(tuple(row) for row in connection.execute("SELECT type, name, sql FROM sqlite_master"))


def _is_part(part: Any, text: Any, start: Any, end: Any) -> bool:
    # Damaged rows hold other types than were declared.
    typed = isinstance(part, str) and isinstance(text, str) and isinstance(start, int) and isinstance(end, int)
    return typed and bool(part) and text[start:end] == part


def _wrong(vectors: Sequence[Any]) -> int:
    """How many of these are no unit vectors of the dimension beside them; None is any dimension."""
    given = [(vector, dimension) for vector, dimension in vectors if isinstance(vector, bytes) and vector]
    right = [vector for vector, dimension in given if len(vector) == 4 * (dimension or len(vector) // 4)]
    wrong = len(vectors) - len(right)
    for size in {len(vector) for vector in right}:
        matrix = np.frombuffer(b"".join(vector for vector in right if len(vector) == size), np.float32)
        with np.errstate(all="ignore"):
            norms = np.linalg.norm(matrix.reshape(-1, size // 4).astype(np.float64), axis=1)
        wrong += int(np.count_nonzero(~(np.abs(norms - 1) <= _NORM_TOLERANCE)))
    return wrong
