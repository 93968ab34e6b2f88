"""A short fingerprint of a model's weights, so that vectors of two versions are never compared."""

import hashlib
import json

from models.cache import MANIFEST
from models.resolve import ResolvedModel

_HEADER_BYTES = 2**20


def revision_of(resolved: ResolvedModel) -> str:
    """Hexadecimal digits that change with the weights; "hub" for a hub model that is not on this machine.

    A hub model answers with its commit, a prepared model with its pinned source hash. For a folder of the user,
    names, sizes and the first MiB of each weight file are hashed: reading all of a large model at every start
    would take longer than loading it.
    """
    folder = resolved.folder
    if folder is None:
        return "hub"
    if resolved.kind == "hub":
        return folder.name
    if resolved.kind in ("packaged", "gguf"):
        origin = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["origin"]
        return hashlib.sha256("".join(origin["sha256"]).encode()).hexdigest()[:16]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        digest.update(f"{path.relative_to(folder).as_posix()}:{path.stat().st_size}".encode())
        with path.open("rb") as file:
            digest.update(file.read(_HEADER_BYTES))
    return digest.hexdigest()[:16]
