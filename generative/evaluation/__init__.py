"""One protocol to judge samples of every image family: see `generative.evaluation.protocol`."""

from generative.evaluation.judge import Judge, judge_for, train_judge
from generative.evaluation.protocol import evaluate_images, judge_samples

__all__ = ["Judge", "evaluate_images", "judge_for", "judge_samples", "train_judge"]
