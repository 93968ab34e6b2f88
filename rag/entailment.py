"""Whether a passage entails a sentence, as a model trained for natural language inference judges it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rag.errors import ConfigurationError

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_BATCH = 16
_LABELS = ("entailment", "entails", "entail")


class Entailment(Protocol):
    """Judges a sentence by texts."""

    def scores(self, premises: Sequence[str], sentence: str) -> NDArray[np.float32]:
        """The probability (N,) that each text entails the sentence."""
        ...


class EntailmentModel:
    """Any sequence classifier one of whose labels is entailment; what it reads too much of is cut."""

    def __init__(self, model: "CrossEncoder", *, name: str) -> None:
        """Raises: ConfigurationError for a model without such a label."""
        self._model = model
        self._label = _entailment_label(model.config, name)

    def scores(self, premises: Sequence[str], sentence: str) -> NDArray[np.float32]:
        """The probability (N,) that each text entails the sentence."""
        if not premises:
            return np.zeros(0, np.float32)
        # Imported here: torch takes seconds to load, and it is by now.
        import torch

        pairs = [(premise, sentence) for premise in premises]
        logits: Any = self._model.predict(
            pairs, batch_size=_BATCH, activation_fn=torch.nn.Identity(), show_progress_bar=False
        )  # (N, L)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers[:, self._label] / powers.sum(axis=1), np.float32)


def _entailment_label(config: Any, name: str) -> int:
    """The number of the label; models order theirs differently."""
    labels = {int(number): str(label) for number, label in config.id2label.items()}
    for number, label in labels.items():
        if label.casefold() in _LABELS and len(labels) > 1:
            return number
    told = ", ".join(labels[number] for number in sorted(labels))
    mend = "Name a model trained for natural language inference whose configuration names its labels"
    raise ConfigurationError(f"models.entailment: {name} has the labels {told}, and none is entailment. {mend}")
