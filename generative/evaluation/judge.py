"""The judge: a small convolutional classifier of the real training images, whose features samples are compared in."""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from generative.errors import CheckpointError
from generative.family import Split
from generative.image_data import Images
from generative.registry import CHECKPOINTS
from generative.training import Training, batch_indices, schedule, seed_of

FEATURES = 64
_NAME = "judge"
_STEPS = 800
_NOISE, _SMOOTHING = 0.1, 0.01


class Judge(nn.Module):
    """Images (N, C, H, W) in [0, 1] → logits (N, classes)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.sizes = (channels, classes)
        self.body = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(2),  # (N, 64, 2, 2) whatever the images' size
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(4 * 64, FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.head(self.body(x * 2 - 1))
        return logits

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """What it sees in images, (N, 64) float64, evaluated in pieces."""
        self.eval()
        return torch.cat([self.body(part * 2 - 1) for part in torch.split(x.cpu(), 500)]).double()

    @torch.no_grad()
    def classify(self, x: Tensor) -> Tensor:
        """The likeliest class of each image, (N,)."""
        self.eval()
        return torch.cat([self(part).argmax(1) for part in torch.split(x.cpu(), 500)])

    def accuracy(self, images: Images) -> float:
        """The share of images whose class it finds."""
        return float((self.classify(images.x) == images.y).double().mean())


def train_judge(images: Images, classes: int, *, seed: int = 0, steps: int = _STEPS) -> Judge:
    """A judge of these images, by AdamW and a cosine over `steps`; the same seed gives the same one on a CPU."""
    training = Training(steps=steps, batch_size=128, lr=2e-3, weight_decay=0.02, warmup_steps=50, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "judge", 0))
        judge = Judge(images.x.shape[1], classes)
        optimiser = torch.optim.AdamW(judge.parameters(), lr=training.lr, weight_decay=training.weight_decay)
        judge.train()
        for step in range(steps):
            x, y = images[batch_indices(len(images), training, step)]
            optimiser.param_groups[0]["lr"] = training.lr * schedule(step, training)
            optimiser.zero_grad()
            noisy = x + _NOISE * torch.randn(x.shape)  # a little noise is the only augmentation
            torch.autograd.backward(F.cross_entropy(judge(noisy), y, label_smoothing=_SMOOTHING))
            optimiser.step()
    return judge.eval()


def judge_for(data: Split, folder: Path = Path("generative-out")) -> Judge:
    """The judge of these data: the one that comes with Fuente, or that of `folder`, where it is trained once."""
    for path in (CHECKPOINTS / f"{_NAME}-{data.name}.safetensors", folder / f"{_NAME}-{data.name}.safetensors"):
        if path.is_file():
            return read_judge(path)
    assert isinstance(data.train, Images)  # noqa: S101
    judge = train_judge(data.train, len(data.about["class_names"]))
    write_judge(judge, path)
    return judge


def write_judge(judge: Judge, path: Path) -> Path:
    """Writes a judge; the path."""
    return write_checkpoint(Checkpoint(_NAME, json.dumps(judge.sizes), judge.state_dict(), {}), path)


def read_judge(path: Path) -> Judge:
    """The judge of a file. Raises: CheckpointError."""
    checkpoint = read_checkpoint(path)
    if checkpoint.family != _NAME:
        raise CheckpointError(f"{path} holds a {checkpoint.family!r}, not a judge. Take it away; it is trained anew.")
    judge = Judge(*json.loads(checkpoint.config))
    judge.load_state_dict(dict(checkpoint.tensors))
    return judge.eval()
