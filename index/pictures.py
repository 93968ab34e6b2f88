"""Pictures in an index of their own kind: each is a chunk whose text is the address of its small copy.

So they have all that passages have: generations, checksums, collections, and filters before the best are taken. An
address is the SHA-256 of the copy, a file beside the index, and vectors are of a CLIP-style model, which puts pictures
and texts into one space.
"""

import hashlib
import io
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from index.embedder import Embedder, Vectors
from index.errors import IndexDamagedError
from index.files import replace
from index.integrity import Finding
from ingest.chunking import chunk_at
from ingest.pictures import Picture
from ingest.reading import ID_DIGITS, FileIdentity
from ingest.types import Chunk, Document, Page, Span
from models.deferred import DeferredEmbedder
from models.errors import DimensionError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_NO_LANGUAGE = ""
_QUALITY = 85
_MEND = "Delete the folder `pictures` of the index, then run `fuente ingest`: all in it is made anew"
_ADDRESS = re.compile(r"[0-9a-f]{64}")


class PictureFiles:
    """The small copies, as WebP files that are named by the SHA-256 of what they hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, picture: Picture) -> str:
        """The address of a picture, which is flushed to disk."""
        file = io.BytesIO()
        picture.image().save(file, "WEBP", quality=_QUALITY)
        content = file.getvalue()
        address = hashlib.sha256(content).hexdigest()
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.path(address).exists():
            replace(self.path(address), content)
        return address

    def content(self, address: str) -> bytes:
        """The WebP file at an address.

        Raises: IndexDamagedError when it is lost or not as it was written.
        """
        path = self.path(address)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise IndexDamagedError(path, f"it cannot be read ({error.strerror})", _MEND) from error
        if hashlib.sha256(content).hexdigest() != address:
            raise IndexDamagedError(path, "its content differs from its checksum", _MEND)
        return content

    def image(self, address: str) -> Image.Image:
        """The picture at an address, decoded. Raises: IndexDamagedError."""
        with Image.open(io.BytesIO(self.content(address)), formats=("WEBP",)) as image:
            return image.convert("RGB")

    def keep(self, addresses: Collection[str]) -> None:
        """Deletes the copies that are none of these."""
        for path in self.folder.glob("*.webp"):
            if path.stem not in addresses:
                path.unlink()

    def findings(self, addresses: Collection[str]) -> list[Finding]:
        """What is wrong with the copies at these addresses."""
        found = []
        for address in sorted(addresses):
            try:
                self.content(address)
            except IndexDamagedError as error:
                found.append(Finding(error.path, error.reason, error.mend, "files"))
        return found

    def path(self, address: str) -> Path:
        """Where the copy at an address is. Raises: ValueError for what is no address."""
        if not _ADDRESS.fullmatch(address):
            raise ValueError(f"{address!r} is no address of a picture, which has 64 hexadecimal digits")
        return self.folder / f"{address}.webp"


def picture_document(
    path: Path, source: str, identity: FileIdentity, pictures: Sequence[Picture], addresses: Sequence[str]
) -> Document:
    """The pictures of a file as a document whose lines are their addresses; one without pictures has no lines."""
    lines = [f"{address}\n" for address in addresses]
    starts = np.cumsum([0, *map(len, lines)]).tolist()
    pages: list[Page] = []
    for place, picture in enumerate(pictures):
        if picture.page is not None and pages and pages[-1].number == picture.page:
            pages[-1] = Page(picture.page, pages[-1].start, starts[place + 1])
        elif picture.page is not None:
            pages.append(Page(picture.page, starts[place], starts[place + 1]))
    sha256, modified = identity
    metadata = {"file_name": path.name, "modified": modified.isoformat(timespec="seconds")}
    return Document(sha256[:ID_DIGITS], source, "".join(lines), tuple(pages), _NO_LANGUAGE, metadata, sha256)


def picture_chunks(document: Document) -> list[Chunk]:
    """Each line, which is one picture."""
    lines = re.finditer(r"[^\n]+", document.text)
    return [chunk_at(document, (), Span(*line.span())) for line in lines]


class PictureEmbedder(Embedder):
    """A model of sentence-transformers that embeds pictures and texts in one space.

    Its passages are addresses of pictures. Questions are embedded by the model itself, or by one of texts alone that
    was trained to meet it in its space.
    """

    def __init__(
        self,
        model: "SentenceTransformer | DeferredEmbedder",
        files: PictureFiles,
        *,
        name: str,
        revision: str = "",
        texts: Embedder | None = None,
    ) -> None:
        """Raises: ModelError; DimensionError for a model of texts with another dimension."""
        super().__init__(model, name=name, revision=revision)
        self._files = files
        self._texts = texts
        if texts is not None and texts.dimension != self.dimension:
            raise DimensionError(texts.name, self.dimension, texts.dimension)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors (N, D) float32 of questions."""
        return self._texts.encode_queries(texts) if self._texts else super().encode_queries(texts)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors (N, D) float32 of the pictures at these addresses.

        Raises: IndexDamagedError for one that is lost or damaged.
        """
        return self._encoded([self._files.image(address) for address in texts])
