"""Fine-tuning of the generator on a person's own documents: examples, and a LoRA adapter that learns from them."""

from rag.finetuning.adapter import AdapterSettings, Trained, train_adapter
from rag.finetuning.examples import Example, examples_of, held_out_copy

__all__ = ["AdapterSettings", "Example", "Trained", "examples_of", "held_out_copy", "train_adapter"]
