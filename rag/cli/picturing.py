"""Pictures that were found, on the command line."""

from collections.abc import Sequence

from rich.text import Text

from rag.cli.rendering import out, plain, print_json
from rag.pictures import PictureHit


def print_pictures(hits: Sequence[PictureHit], *, json: bool) -> None:
    """Prints where pictures stand, and where their small copies lie."""
    if json:
        print_json({"pictures": [_json(hit) for hit in hits]})
        return
    for hit in hits:
        page = f", p. {hit.page}" if hit.page else ""
        out.print(Text(f"{hit.rank}. {plain(hit.source)}{page}  ({hit.score:.3f})", style="bold"))
        out.print(Text(f"   {plain(str(hit.path))}", style="dim"))


def _json(hit: PictureHit) -> dict[str, object]:
    return {
        "rank": hit.rank,
        "score": hit.score,
        "source": hit.source,
        "page": hit.page,
        "collection": hit.collection,
        "file": str(hit.path),
    }
