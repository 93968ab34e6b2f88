"""The generative families, one file each, small enough to read beside the paper that it follows.

    from generative import family_class, load, shipped

    Vae = family_class("vae")
    data = Vae.open_data("digits")
    vae = Vae(Vae.preset("cpu", data.about)).fit(data.train, val=data.test, checkpoint=Path("vae.safetensors"))
    images = vae.sample(16, generator=torch.Generator().manual_seed(0))

`generative.family` says what a family is and how to write one, `generative.training` how the one loop trains it.
"""

from generative.errors import GenerativeError, Stop
from generative.family import AnyFamily, Family, FamilyConfig, Split
from generative.registry import FAMILIES, family_class, load, shipped
from generative.training import Progress, Training

__all__ = [
    "FAMILIES",
    "AnyFamily",
    "Family",
    "FamilyConfig",
    "GenerativeError",
    "Progress",
    "Split",
    "Stop",
    "Training",
    "family_class",
    "load",
    "shipped",
]
