"""Models of the hub that are on this machine already."""

from pathlib import Path


def snapshot_of(name: str) -> Path | None:
    """The folder of the newest snapshot, named after its commit; None when there is none. Uses no network."""
    # Imported here: it takes a quarter of a second, and only hub names need it.
    from huggingface_hub import try_to_load_from_cache

    for file in ("modules.json", "config.json"):
        found = try_to_load_from_cache(name, file)
        if isinstance(found, str):
            return Path(found).parent
    return None
