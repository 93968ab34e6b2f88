"""The protocol: what is measured of samples, the same for every image family and written down before any result.

450 samples against the 450 test images, on the features of the judge: Fréchet distance (FIDj), precision and recall
(k = 5); on pixels: the two-sample test (C2ST) and the ratio of distances to the training images; then how evenly the
judge finds the classes, and what a classifier trained on 1,347 samples only makes of the test images (CAS).
"""

from typing import Any

import torch
from torch import Tensor

from generative.errors import DataError
from generative.evaluation.judge import Judge, judge_for, train_judge
from generative.evaluation.metrics import (
    frechet_distance,
    nearest_ratio,
    precision_recall,
    sharpness,
    two_sample_accuracy,
)
from generative.family import Split
from generative.image_data import Images
from generative.image_family import ImageFamily
from generative.training import seed_of

SAMPLES = 450
CLASSIFIER_SAMPLES = 1347


def evaluate_images(family: ImageFamily[Any], data: Split, *, seed: int = 0) -> dict[str, float]:
    """The figures of the protocol for a family, with the judge of its data."""
    judge = judge_for(data)
    # As many of each class, like the test images: the luck of drawing classes would weigh more than the drawings.
    even = torch.arange(SAMPLES) % judge.sizes[1] if family.conditional else None
    drawn = family.sample(SAMPLES, condition=even, generator=_generator(family, seed, 0))
    figures = judge_samples(drawn, data, judge)
    if family.conditional:
        train, _ = images_of(data)
        labels = train.y[:CLASSIFIER_SAMPLES]
        drawn = family.sample(len(labels), condition=labels, generator=_generator(family, seed, 1)).cpu()
        figures["class_accuracy"] = float((judge.classify(drawn) == labels).double().mean())
        figures["cas"] = classifier_accuracy(Images(drawn, labels), data, seed=seed)
    return figures


def _generator(family: ImageFamily[Any], seed: int, number: int) -> torch.Generator:
    return torch.Generator(family.device).manual_seed(seed_of(seed, "protocol", number))


def judge_samples(samples: Tensor, data: Split, judge: Judge) -> dict[str, float]:
    """The figures of `SAMPLES` samples (N, C, H, W) in [0, 1]. Raises: DataError with another number."""
    train, test = images_of(data)
    if len(samples) != SAMPLES:
        raise DataError(f"{len(samples)} samples: the protocol takes {SAMPLES}, since distances shrink with more.")
    samples, real = samples.cpu(), first(test, SAMPLES).x
    seen, expected = judge.features(samples), judge.features(real)
    precision, recall = precision_recall(seen, expected)
    shares = torch.bincount(judge.classify(samples), minlength=judge.sizes[1]).double() / len(samples)
    return {
        "fid_judge": frechet_distance(seen, expected),
        "precision": precision,
        "recall": recall,
        "c2st": two_sample_accuracy(samples, real),
        "nn_ratio": nearest_ratio(samples, train.x, real),
        "smallest_class_share": float(shares.min()),
        "sharpness_ratio": sharpness(samples) / sharpness(real),
    }


def floor(data: Split, judge: Judge) -> dict[str, float]:
    """The figures of real training images in place of samples: what perfect samples would get."""
    train, _ = images_of(data)
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:SAMPLES]
    figures = judge_samples(train.x[chosen], data, judge)
    return {key: value for key, value in figures.items() if key != "nn_ratio"}  # they are the training images


def classifier_accuracy(samples: Images, data: Split, *, seed: int = 0) -> float:
    """CAS: the test accuracy of a classifier that has seen these samples only.

    Source: Ravuri and Vinyals, Classification Accuracy Score for Conditional Generative Models (2019).
    """
    _, test = images_of(data)
    return train_judge(samples, len(data.about["class_names"]), seed=seed).accuracy(test)


def images_of(data: Split) -> tuple[Images, Images]:
    """The training and test images of a split. Raises: DataError where they are no images."""
    if not isinstance(data.train, Images) or not isinstance(data.test, Images):
        raise DataError(f"{data.name} holds no images; this protocol judges images.")
    return data.train, data.test


def first(images: Images, count: int) -> Images:
    """The first so many images. Raises: DataError where there are fewer."""
    if len(images) < count:
        raise DataError(f"{len(images)} test images; the protocol takes {count}.")
    return Images(images.x[:count], images.y[:count])
