"""How two sets of images compare: distances between samples and real ones, each from its paper."""

import numpy as np
import torch
from torch import Tensor

# Folds of the two-sample test.
_FOLDS = 5


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """The Fréchet distance between Gaussians fitted to features (N, D) and (M, D), float64; 0 is equal.

    Source: Heusel et al., GANs Trained by a Two Time-Scale Update Rule (2017), eq. 6. The trace of the root of a
    product of covariances is that of a symmetric matrix with the same eigenvalues.
    """
    mean_a, mean_b = one.mean(0), other.mean(0)
    cov_a, cov_b = torch.cov(one.T), torch.cov(other.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    product = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    return float((mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * product)


def precision_recall(samples: Tensor, real: Tensor, k: int = 5) -> tuple[float, float]:
    """The share of samples within the real manifold, and of real ones within the samples'; features (N, D), (M, D).

    A manifold is the union of balls around its points that reach to their k-th neighbour.

    Source: Kynkäänniemi et al., Improved Precision and Recall Metric (2019), eq. 1 and 2.
    """
    return _within(samples, real, k), _within(real, samples, k)


def _within(points: Tensor, manifold: Tensor, k: int) -> float:
    radii = torch.cdist(manifold, manifold).kthvalue(k + 1, dim=1).values  # the nearest is the point itself
    return float((torch.cdist(points, manifold) <= radii).any(1).double().mean())


def two_sample_accuracy(samples: Tensor, real: Tensor, seed: int = 0) -> float:
    """How well an RBF-SVM tells samples from real images of the same number, cross-validated; .5 is not at all.

    Source: Lopez-Paz and Oquab, Revisiting Classifier Two-Sample Tests (2017), section 3.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.svm import SVC

    x = torch.cat([samples.flatten(1), real.flatten(1)]).cpu().numpy()
    y = np.repeat([0, 1], [len(samples), len(real)])
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    return float(cross_val_score(SVC(), x, y, cv=folds).mean())


def nearest_ratio(samples: Tensor, train: Tensor, test: Tensor) -> float:
    """The median distance from samples to their nearest training image over that from test images; pixels.

    Below .9 samples are closer to the training images than fresh real ones are: the model has memorised.
    """
    known = train.flatten(1)
    near, expected = (torch.cdist(one.flatten(1), known).min(1).values.median() for one in (samples, test))
    return float(near / expected)


def sharpness(images: Tensor) -> float:
    """The mean squared response to a Laplacian, over that of no scale in particular: blur lowers it. (N, C, H, W).

    Compare it to the real images' own; it is a number for blur, not for quality.
    """
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]], device=images.device)
    planes = images.flatten(0, 1)[:, None]
    return float(torch.nn.functional.conv2d(planes, kernel[None, None]).square().mean())


def auroc(normal: Tensor, strange: Tensor) -> float:
    """The chance that a strange example scores above a normal one, ties half; scores (N,) and (M,)."""
    both = torch.cat([normal, strange]).double()
    ranks = (both[:, None] > both[None, :]).double().sum(1) + 0.5 * (both[:, None] == both[None, :]).double().sum(1)
    total = ranks[len(normal) :].sum() - len(strange) ** 2 / 2
    return float(total / (len(normal) * len(strange)))
