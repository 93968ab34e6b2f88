"""The families by name. Nothing is imported before it is asked for."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from generative.checkpoint import read_checkpoint
from generative.errors import ConfigError
from generative.family import AnyFamily

CHECKPOINTS = Path(__file__).with_name("checkpoints")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a family is, and what it is in one line."""

    module: str
    class_name: str
    summary: str


FAMILIES: dict[str, Entry] = {
    "elman": Entry("generative.language.recurrent", "Elman", "writes text from a state that is rewritten at each step"),
    "lstm": Entry("generative.language.recurrent", "LongShortTerm", "writes text from a state that gates look after"),
    "translator": Entry(
        "generative.language.translator", "Translator", "reads a text whole and writes another from it"
    ),
    "masked": Entry("generative.language.masked", "Masked", "reads a text both ways and fills in what is covered"),
    "classifier": Entry("generative.language.classifier", "Classifier", "tells spam with a masked encoder"),
    "instructed": Entry(
        "generative.language.instruction", "Instructed", "replies to questions, tuned from a transformer"
    ),
    "shared-space": Entry(
        "generative.language.shared_space", "SharedSpace", "digits, their words and tones in one space"
    ),
    "unified": Entry("generative.language.unified", "Unified", "words, pictures and sounds as one sequence"),
    "transformer": Entry("generative.language.transformer", "TransformerFamily", "writes text, looking back over all"),
    "autoencoder": Entry("generative.autoencoder", "Autoencoder", "compresses images and takes noise out of them"),
    "vae": Entry("generative.vae", "Vae", "codes that are distributions: sample, interpolate, find anomalies"),
    "gan": Entry("generative.gan", "Gan", "two networks, one that draws and one that finds out"),
    "autoregressive": Entry("generative.autoregressive", "Autoregressive", "pixel after pixel, with exact likelihoods"),
    "diffusion": Entry("generative.diffusion", "Diffusion", "undoes noise step by step, guided by class or caption"),
    "recolour": Entry("generative.recolour", "Recolour", "image to image: colour to grey and back"),
    "sound": Entry("generative.sound", "Sound", "diffusion of short tones, to listen to"),
}


def family_class(name: str) -> type[AnyFamily]:
    """The class of that name. Raises: ConfigError."""
    entry = FAMILIES.get(name)
    if entry is None:
        raise ConfigError(f"There is no family {name!r}. Choose one of {', '.join(FAMILIES)}.")
    found: type[AnyFamily] = getattr(import_module(entry.module), entry.class_name)
    return found


def load(path: Path, *, device: str = "auto", dtype: str = "auto") -> AnyFamily:
    """The family that a checkpoint holds, whichever it is. Raises: CheckpointError, ConfigError."""
    return family_class(read_checkpoint(path).family).load(path, device=device, dtype=dtype)


def shipped(name: str, data: str) -> Path | None:
    """The checkpoint of a family over these data that comes with Fuente; None where there is none."""
    path = CHECKPOINTS / f"{name}-{data}.safetensors"
    return path if path.is_file() else None
