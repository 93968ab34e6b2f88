"""How well a family's score finds what it was not trained on: digits of classes that it has never seen."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from generative.evaluation.metrics import auroc
from generative.evaluation.protocol import images_of
from generative.family import Split
from generative.image_data import Images
from generative.image_family import ImageFamily


def anomaly_figures(family: ImageFamily[Any], data: Split) -> dict[str, float]:
    """The mean AUROC over classes of fresh families of the same configuration, and of PCA beside them.

    With `one_normal` each is trained on one class and all others are strange; with `one_strange` on all but one.
    """
    classes = range(family.config.image.classes)
    found: dict[str, list[float]] = {}
    for number in classes:
        others = [one for one in classes if one != number]
        for setting, normal in (("one_normal", [number]), ("one_strange", others)):
            fresh = type(family)(family.config, device=str(family.device))
            fresh.fit(images_of(data)[0].of_classes(normal))
            found.setdefault(f"auroc_{setting}", []).append(_auroc(fresh.score, data, normal))
            found.setdefault(f"auroc_{setting}_pca", []).append(_auroc(_pca(data, normal), data, normal))
    return {key: float(np.mean(values)) for key, values in found.items()}


def _auroc(score: Any, data: Split, normal: Sequence[int]) -> float:
    scores = score(images_of(data)[1].x).cpu()
    known = torch.isin(images_of(data)[1].y, torch.tensor(normal))
    return auroc(scores[known], scores[~known])


def _pca(data: Split, normal: Sequence[int]) -> Any:
    """Squared errors of coming back from as many principal components as hold 95% of the variance."""
    from sklearn.decomposition import PCA

    train: Images = images_of(data)[0].of_classes(normal)
    fitted = PCA(0.95, svd_solver="full").fit(train.x.flatten(1).numpy())

    def score(x: Tensor) -> Tensor:
        flat = x.flatten(1).numpy()
        return torch.from_numpy(((fitted.inverse_transform(fitted.transform(flat)) - flat) ** 2).sum(1))

    return score
