"""Chunks stored so that they can be found: a crash-safe store, dense and lexical search, fused."""

from index.embedder import Embedder
from index.search import Index
from index.settings import SearchSettings
from index.types import Hit, Identity, SyncProgress, SyncReport
from index.writer import IndexWriter

__all__ = ["Embedder", "Hit", "Identity", "Index", "IndexWriter", "SearchSettings", "SyncProgress", "SyncReport"]
