"""Files become documents, documents become chunks with exact offsets."""

from ingest.types import Chunk, Document, Extract, Heading, Page, Span

__all__ = ["Chunk", "Document", "Extract", "Heading", "Page", "Span"]
