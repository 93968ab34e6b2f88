"""A short fingerprint of a model's weights, so that vectors of two versions are never compared."""

import hashlib
import json
from pathlib import Path

from models.cache import MANIFEST
from models.resolve import ResolvedModel

_HEADER_BYTES = 2**20


def revision_of(resolved: ResolvedModel) -> str:
    """16 hexadecimal digits that change with the weights; "hub" for a hub name, whose files are not read.

    A prepared model answers with its pinned source hash. For a folder of the user, names, sizes and the first
    MiB of each weight file are hashed: reading all of a large model at every start would take longer than
    loading it.
    """
    if resolved.kind == "hub":
        return "hub"
    folder = Path(resolved.path_or_hub_id)
    if resolved.kind in ("packaged", "gguf"):
        origin = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["origin"]
        return hashlib.sha256("".join(origin["sha256"]).encode()).hexdigest()[:16]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        digest.update(f"{path.relative_to(folder).as_posix()}:{path.stat().st_size}".encode())
        with path.open("rb") as file:
            digest.update(file.read(_HEADER_BYTES))
    return digest.hexdigest()[:16]
