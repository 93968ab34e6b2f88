"""A training of an adapter that was interrupted: its weights and averages so far, to go on from."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

STATE_FILE, TRAINED_FILE = "training.safetensors", "trained.json"


@dataclass(frozen=True, slots=True)
class KeptTraining:
    """The files of one training in its folder. `about` says what is learnt how; no other training is gone on with."""

    folder: Path
    about: str

    def write(self, step: int, losses: Sequence[float], learnt: Mapping[str, Tensor], optimiser: Any) -> None:
        """Writes the state after `step` steps, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"weight.{name}": one.detach().cpu().clone() for name, one in learnt.items()}
        for number, values in optimiser.state_dict()["state"].items():
            tensors |= {f"average.{number}.{name}": one.detach().cpu().clone() for name, one in values.items()}
        metadata = {"about": self.about, "step": str(step), "losses": json.dumps(list(losses))}
        unfinished = self.folder / f".{STATE_FILE}.{os.getpid()}"
        save_file(tensors, unfinished, metadata)
        unfinished.replace(self.folder / STATE_FILE)

    def restore(self, learnt: Mapping[str, Tensor], optimiser: Any) -> tuple[int, list[float]]:
        """Puts weights and averages in place; the steps that were made and the losses. (0, []) where none was kept.

        Raises: ValueError: the folder holds another training, or a file that cannot be read.
        """
        path = self.folder / STATE_FILE
        if not path.is_file():
            return 0, []
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                self._check(metadata.get("about"), path)
                averages: dict[int, dict[str, Tensor]] = {}
                for name in file.keys():  # noqa: SIM118
                    kind, _, rest = name.partition(".")
                    if kind == "weight":
                        with torch.no_grad():
                            learnt[rest].copy_(file.get_tensor(name))
                    else:
                        number, _, key = rest.partition(".")
                        averages.setdefault(int(number), {})[key] = file.get_tensor(name)
        except (OSError, SafetensorError, KeyError) as error:
            raise ValueError(f"{path} cannot be read ({error}). Remove it to train from the start") from error
        optimiser.load_state_dict({**optimiser.state_dict(), "state": averages})
        return int(metadata["step"]), [float(one) for one in json.loads(metadata["losses"])]

    def finish(self, trained: Mapping[str, Any]) -> None:
        """Says that the training is done, and what it was; its state goes."""
        text = json.dumps({"about": self.about, "trained": dict(trained)}, indent=1)
        (self.folder / TRAINED_FILE).write_text(text + "\n", encoding="utf-8")
        (self.folder / STATE_FILE).unlink(missing_ok=True)

    def finished(self) -> dict[str, Any] | None:
        """What the training was, where it was done before. Raises: ValueError: the folder holds another training."""
        path = self.folder / TRAINED_FILE
        if not path.is_file():
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        self._check(content.get("about"), path)
        trained: dict[str, Any] = content["trained"]
        return trained

    def _check(self, about: Any, path: Path) -> None:
        if about != self.about:
            raise ValueError(
                f"{path} is of a training on other examples, settings or model. Choose another --output, or remove it"
            )


def about_training(examples: Sequence[Any], settings: Any, model: str) -> str:
    """A digest of what is learnt, how and on which model."""
    content = json.dumps([[asdict(one) for one in examples], asdict(settings), model], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
