import itertools
import math

import pytest
import torch

from generative.errors import CheckpointError, DataError, DivergedError, Stop
from generative.image_data import Images
from generative.training import Training, batch_indices, curve, schedule


def _weights(family):
    return torch.cat([one.flatten() for one in family.network.state_dict().values()])


def _average(family):
    return torch.cat([one.flatten() for one in family.average.state_dict().values()])


def test_training_resumed_is_training_that_never_stopped(small, digits, tmp_path):
    path = tmp_path / "half.safetensors"
    whole = small().fit(digits.train, val=digits.test)
    small().fit(digits.train, val=digits.test, max_steps=7, checkpoint=path)
    resumed = small().fit(digits.train, val=digits.test, resume=path)
    assert torch.equal(_weights(whole), _weights(resumed))
    assert torch.equal(_average(whole), _average(resumed))
    assert whole.history == resumed.history
    assert [point["step"] for point in resumed.history] == [5, 10, 15, 20]


def test_training_does_not_touch_the_global_random_numbers(small, digits):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    small().fit(digits.train, max_steps=2)
    assert torch.equal(torch.rand(3), expected)


def test_seeds_repeat_and_differ(small, digits):
    one, again, other = (_weights(small(seed=seed).fit(digits.train, max_steps=3)) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_training_learns(small, digits):
    family = small(steps=60, lr=0.01).fit(digits.train, val=digits.test)
    first, *_, last = (value for _, value in curve(family.history, "val_loss"))
    assert last < first / 1.5


def test_resuming_another_configuration_is_refused(small, digits, tmp_path):
    path = tmp_path / "a.safetensors"
    small().fit(digits.train, max_steps=2, checkpoint=path)
    with pytest.raises(CheckpointError, match="another configuration"):
        small(lr=0.5).fit(digits.train, resume=path)


def test_a_step_that_is_not_finite_changes_nothing(small, digits):
    bad = Images(digits.train.x.clone(), digits.train.y)
    size = 32
    training = Training(batch_size=size)
    bad.x[batch_indices(len(bad), training, 3)[0]] = math.nan
    family = small()
    before = []

    def watch(progress):
        before.append(_weights(family).clone())

    family.fit(bad, max_steps=4, report=watch)
    encoder = [name for name in family.network.state_dict() if not name.startswith("codes")]
    count = sum(family.network.state_dict()[name].numel() for name in encoder)
    assert torch.equal(before[2][:count], before[3][:count])
    assert not torch.equal(before[1][:count], before[2][:count])


def test_training_gives_up_where_no_step_is_finite(small):
    bad = Images(torch.full((40, 1, 8, 8), math.nan), torch.zeros(40, dtype=torch.int64))
    family = small(steps=100)
    before = [one.clone() for one in family.network.parameters()]
    with pytest.raises(DivergedError, match="20 steps in a row"):
        family.fit(bad)
    assert all(torch.equal(one, now) for one, now in zip(before, family.network.parameters(), strict=True))


def test_a_report_can_end_the_training(small, digits):
    def stop(progress):
        if progress.step == 6:
            raise Stop

    assert small().fit(digits.train, report=stop)._trainer.step == 6


def test_there_is_a_limit_of_time(small, digits):
    assert small().fit(digits.train, max_seconds=0)._trainer.step == 0


def test_no_data_no_training(small):
    with pytest.raises(DataError, match="empty"):
        small().fit(Images(torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.int64)))


@pytest.mark.parametrize("size", [1, 31, 32, 100])
def test_an_epoch_sees_an_example_at_most_once_and_orders_differ(size):
    training = Training(batch_size=32)
    batches = size // min(32, size)
    seen = torch.cat([batch_indices(size, training, step) for step in range(batches)])
    assert len(seen) == len(seen.unique()) > size - 32
    if size > 3:
        assert not torch.equal(
            seen, torch.cat([batch_indices(size, training, batches + step) for step in range(batches)])
        )


def test_the_learning_rate_rises_and_falls():
    training = Training(steps=100, warmup_steps=10, final_lr=0.1)
    rates = [schedule(step, training) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == max(rates) == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.55)
    assert rates[100] == pytest.approx(0.1)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
