"""What a classifier gains by drawn images beside a few real ones."""

from typing import Any

import torch

from generative.errors import UnsupportedError
from generative.evaluation.judge import train_judge
from generative.evaluation.protocol import images_of
from generative.family import Split
from generative.image_data import Images
from generative.image_family import ImageFamily
from generative.training import seed_of


def augmentation_figures(family: ImageFamily[Any], data: Split, *, per_class: int, seed: int = 0) -> dict[str, float]:
    """Test accuracies of a classifier of `per_class` real images of each class, and of these and drawn ones.

    They are drawn by a fresh family of the same configuration that has seen no more than those few images, as many
    as the training images are, and by the one that is given, which has seen all of them: the first is what a person
    with few images gains, the second what the model remembers of the others. Raises: UnsupportedError.
    """
    if not family.conditional:
        raise UnsupportedError(f"This {family.name} draws no image of a class that is asked for.")
    train, test = images_of(data)
    few = a_few(train, per_class, seed)
    fresh = type(family)(family.config, device=str(family.device))
    fresh.fit(few)
    sets = {"real": few, "real_and_own": _with_drawn(few, fresh, train, seed)}
    sets["real_and_knowing"] = _with_drawn(few, family, train, seed)
    classes = family.config.image.classes
    return {name: train_judge(one, classes, seed=1 + seed).accuracy(test) for name, one in sets.items()}


def a_few(images: Images, per_class: int, seed: int) -> Images:
    """So many images of each class, chosen by the seed."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed_of(seed, "few", per_class)))
    y = images.y[order]
    chosen = torch.cat([order[y == one][:per_class] for one in range(int(y.max()) + 1)])
    return Images(*images[chosen])


def _with_drawn(few: Images, family: ImageFamily[Any], train: Images, seed: int) -> Images:
    generator = torch.Generator(family.device).manual_seed(seed_of(seed, "augmentation", 0))
    drawn = family.sample(len(train), condition=train.y, generator=generator).cpu()
    # As many steps see real images as drawn ones, however few the real ones are.
    times = -(-len(train) // len(few))
    return Images(torch.cat([few.x.repeat(times, 1, 1, 1), drawn]), torch.cat([few.y.repeat(times), train.y]))
