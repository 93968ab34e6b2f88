import pytest
import torch
from sklearn.metrics import roc_auc_score

from generative.errors import DataError
from generative.evaluation import judge_for, judge_samples, train_judge
from generative.evaluation.anomaly import anomaly_figures
from generative.evaluation.judge import read_judge, write_judge
from generative.evaluation.metrics import (
    auroc,
    frechet_distance,
    nearest_ratio,
    precision_recall,
    sharpness,
    two_sample_accuracy,
)
from generative.family import Split


def test_the_frechet_distance_of_gaussians_is_its_closed_form(random):
    one = torch.randn(4000, 3, generator=random, dtype=torch.float64)
    other = 2 * torch.randn(4000, 3, generator=random, dtype=torch.float64) + torch.tensor([3.0, 0.0, 0.0])
    assert frechet_distance(one, other) == pytest.approx(9 + 3 * (1 - 2) ** 2, rel=0.05)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one))


def test_precision_and_recall_see_what_is_invented_and_what_is_missing(random):
    real = torch.cat([torch.randn(100, 2, generator=random), torch.randn(100, 2, generator=random) + 50])
    assert precision_recall(real, real) == (1.0, 1.0)
    half = torch.randn(200, 2, generator=random) * 0.9
    precision, recall = precision_recall(half, real)
    assert precision > 0.9
    assert recall == pytest.approx(0.5, abs=0.05)
    assert precision_recall(real + 1000, real) == (0.0, 0.0)


def test_two_sample_accuracy_is_a_coin_for_the_same_and_sure_for_others(digits, random):
    same = two_sample_accuracy(digits.train.x[:450], digits.test.x)
    assert same == pytest.approx(0.5, abs=0.07)
    assert two_sample_accuracy(torch.rand(450, 1, 8, 8, generator=random), digits.test.x) > 0.99


def test_the_ratio_of_distances_finds_memorising(digits):
    train, test = digits.train.x, digits.test.x
    assert nearest_ratio(train[:100], train, test) == 0
    assert nearest_ratio(test, train, test) == 1


def test_sharpness_falls_with_blur(digits):
    blurred = torch.nn.functional.avg_pool2d(digits.test.x, 3, stride=1, padding=1)
    assert sharpness(blurred) < sharpness(digits.test.x) / 3


def test_auroc_is_that_of_scikit_learn(random):
    normal, strange = (
        torch.randn(50, generator=random).round(decimals=1),
        torch.randn(30, generator=random).round(decimals=1) + 1,
    )
    expected = roc_auc_score([0] * 50 + [1] * 30, torch.cat([normal, strange]).numpy())
    assert auroc(normal, strange) == pytest.approx(expected)


def test_the_judge_that_is_shipped_knows_the_digits(digits, tmp_path):
    judge = judge_for(digits, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert judge.accuracy(digits.test) >= 0.99
    figures = judge_samples(digits.train.x[:450], digits, judge)
    assert figures["precision"] > 0.95
    assert figures["nn_ratio"] == 0
    with pytest.raises(DataError, match="450"):
        judge_samples(digits.train.x[:10], digits, judge)


def test_a_judge_is_learned_once_and_kept(digits, tmp_path):
    judge = train_judge(digits.train, 10, steps=60)
    assert judge.accuracy(digits.test) > 0.5
    again = read_judge(write_judge(judge, tmp_path / "judge.safetensors"))
    assert torch.equal(again.features(digits.test.x), judge.features(digits.test.x))


def test_strange_classes_are_found_and_principal_components_stand_beside(make, digits):
    train, test = (one.of_classes([0, 1, 4]) for one in (digits.train, digits.test))
    about = {**digits.about, "class_names": ("0", "1", "2")}
    for one in (train, test):
        one.y.copy_(torch.where(one.y == 4, 2, one.y))
    family = make("autoencoder", steps=150, lr=0.01)
    family.config = family.config.changed({"image.class_names": ["0", "1", "2"]})
    found = anomaly_figures(family, Split("three", train, test, about))
    assert set(found) == {f"auroc_one_{kind}{pca}" for kind in ("normal", "strange") for pca in ("", "_pca")}
    assert all(value > 0.9 for value in found.values())
