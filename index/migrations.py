"""Brings the store of an older version up to date."""

import sqlite3
from collections.abc import Callable, Mapping

from index.database import run_script
from index.schema import COLUMNS, SCHEMA, SCHEMA_VERSION
from index.types import DEFAULT_COLLECTION


def migrate(connection: sqlite3.Connection) -> None:
    """Takes the tables from their version to this program's, inside the transaction that is open."""
    # Rows refer to rows of tables that are being replaced; nothing is checked before the end.
    connection.execute("PRAGMA defer_foreign_keys=ON")
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    while version < SCHEMA_VERSION:
        _STEPS[version](connection)
        version += 1
        connection.execute(f"PRAGMA user_version = {version}")


def _seal_rows(connection: sqlite3.Connection) -> None:
    """1 → 2: sealed rows, collections, texts in a table of their own."""
    old = ("meta", "documents", "sources", "chunks", "vectors")
    for (name,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall():
        connection.execute(f'DROP INDEX "{name}"')
    # What refers to a renamed table follows it, so the old tables go on referring to old ones.
    for table in old:
        connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    run_script(connection, SCHEMA)
    new_columns: Mapping[str, Mapping[str, str]] = {
        "documents": {"characters": "length(text)", "page_count": "json_array_length(pages)"},
        "sources": {"collection": f"'{DEFAULT_COLLECTION}'"},
        "texts": {"document": "number"},
    }
    for table in ("meta", "documents", "texts", "sources", "chunks", "vectors"):
        source = "old_documents" if table == "texts" else f"old_{table}"
        values = ", ".join(new_columns.get(table, {}).get(column, column) for column in COLUMNS[table])
        connection.execute(f"INSERT INTO {table} SELECT {values}, seal({values}) FROM {source}")
    for table in ("chunks", "sources", "documents", "meta", "vectors"):
        connection.execute(f"DROP TABLE old_{table}")


_STEPS: Mapping[int, Callable[[sqlite3.Connection], None]] = {1: _seal_rows}
