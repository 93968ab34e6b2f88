"""Whether the anomaly score of a VAE over the vectors of passages tells questions that the corpus does not answer.

The articles are cut into folds. A VAE learns the passages of all folds but one; a question is asked against the corpus
without its own article's fold (nothing answers it) and without another one (something does). Beside the VAE stand the
cosine of the best passage and the two together, by logistic regression fitted on the questions of other folds.

python -m bench.outside xquad.es.json [--questions 240] [--folds 8] [--steps 1500]      needs multilingual-e5-small
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.measuring import machine
from generative.evaluation.metrics import auroc
from generative.image_data import Images
from generative.image_family import ImageShape
from generative.training import Training
from generative.vae import Vae, VaeConfig
from rag import Fuente
from rag.evaluation import read_squad, sampled

# 384 numbers of a vector as the family sees them, channels, height, width; it flattens them again.
_SHAPE = (1, 16, 24)
_LATENTS = (4, 16, 64)


@dataclass(frozen=True, slots=True)
class Asked:
    """Vectors of passages (P, D) and questions (Q, D), unit length, and the fold of each by its article."""

    passages: Tensor
    questions: Tensor
    passage_folds: Tensor
    question_folds: Tensor
    folds: int


def main() -> None:
    """Prints the areas under the ROC curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--questions", type=int, default=240)
    parser.add_argument("--folds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=1500)
    arguments = parser.parse_args()
    asked = _embedded(arguments.set, arguments.questions, arguments.folds)
    print(f"{len(asked.passages)} passages, {len(asked.questions)} questions, {machine()}", flush=True)
    cosine = _both_ways(asked, [_best_cosine(asked, fold) for fold in range(asked.folds)])
    print(f"cosine of the best passage {_auroc(cosine):.3f}", flush=True)
    for latent in _LATENTS:
        scores = _both_ways(asked, [_vae_scores(asked, fold, latent, arguments.steps) for fold in range(asked.folds)])
        together = _together(asked, torch.stack([cosine, scores], -1))
        print(f"VAE, {latent} numbers {_auroc(scores):.3f}, with the cosine {_auroc(together):.3f}", flush=True)


def _embedded(path: Path, questions: int, folds: int) -> Asked:
    embedder, question_set = Fuente.configured().embedder, read_squad(path)
    titles = {one.id: one.document_title for one in question_set.paragraphs}
    fold_of = {title: place % folds for place, title in enumerate(dict.fromkeys(titles.values()))}
    chosen = sampled(question_set.questions, questions, 0)
    return Asked(
        torch.from_numpy(embedder.encode_passages([one.text for one in question_set.paragraphs])),
        torch.from_numpy(embedder.encode_queries([one.text for one in chosen])),
        torch.tensor([fold_of[one.document_title] for one in question_set.paragraphs]),
        torch.tensor([fold_of[titles[one.paragraph_id]] for one in chosen]),
        folds,
    )


def _best_cosine(asked: Asked, fold: int) -> Tensor:
    """How far the best passage of the other folds is, for every question (Q,); higher is stranger."""
    return -(asked.questions @ asked.passages[asked.passage_folds != fold].T).amax(1)


def _vae_scores(asked: Asked, fold: int, latent: int, steps: int) -> Tensor:
    """What a VAE of the passages of the other folds makes of every question (Q,), nats; higher is stranger."""
    known = asked.passages[asked.passage_folds != fold]
    # Pixels lie in [0, 1]: the vectors are moved there, all numbers by the same scale.
    middle, reach = known.mean(), 4 * known.std()
    scaled = [((one - middle) / reach / 2 + 0.5).clamp(0, 1).view(-1, *_SHAPE) for one in (known, asked.questions)]
    image = ImageShape(*_SHAPE, class_names=("passage",))
    training = Training(steps, 64, lr=1e-3, weight_decay=0.05, ema_decay=0.99, log_every=steps)
    vae = Vae(VaeConfig(training, image, "grey", latent, width=128, dropout=0.2), device="cpu")
    vae.fit(Images(scaled[0], torch.zeros(len(known), dtype=torch.int64)))
    return vae.score(scaled[1])


def _both_ways(asked: Asked, scores: Sequence[Tensor]) -> Tensor:
    """Scores by fold left out → of each question with an answer in the corpus, and without one, (Q, 2)."""
    table, number = torch.stack(list(scores)), torch.arange(len(asked.questions))  # (F, Q)
    inside = table[(asked.question_folds + 1) % asked.folds, number]
    return torch.stack([inside, table[asked.question_folds, number]], 1)


def _together(asked: Asked, signals: Tensor) -> Tensor:
    """Log odds (Q, 2) of no answer by both signals (Q, 2, S), each question by weights of the other folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    odds: NDArray[np.float64] = np.zeros(signals.shape[:2])
    for fold in range(asked.folds):
        own = (asked.question_folds == fold).numpy()
        seen = signals[~own].flatten(0, 1).numpy()
        fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(seen, np.tile([0, 1], len(seen) // 2))
        odds[own] = fitted.decision_function(signals[own].flatten(0, 1).numpy()).reshape(-1, 2)
    return torch.from_numpy(odds)


def _auroc(scores: Tensor) -> float:
    return auroc(scores[:, 0], scores[:, 1])


if __name__ == "__main__":
    main()
