"""GGUF weights, rewritten once as a safetensors folder.

transformers reads GGUF by dequantising it, which takes 35–50 s on two cores for 1.5 billion weights and is
repeated at every load. The folder written here loads in 2–3 s.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from models.errors import ConversionError, MissingDependencyError
from models.quiet import quiet_transformers

MAGIC = b"GGUF"

# GGUF names one end token, but chat models also stop at the end of a text; llama.cpp keeps such a list too.
END_TOKENS = ("<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<end_of_turn>", "<|end|>")


def check_gguf(path: Path) -> None:
    """Raises ConversionError unless the file begins as GGUF does."""
    with path.open("rb") as file:
        magic = file.read(len(MAGIC))
    if magic != MAGIC:
        raise ConversionError(path, f"it begins with {magic!r}, not with {MAGIC!r}, so it is not GGUF")


def convert_gguf(path: Path, folder: Path, on_tensor: Callable[[int, int], None]) -> None:
    """Writes weights (bfloat16), tokenizer with chat template and generation settings into `folder`.

    `on_tensor` is told how many tensors of how many have been dequantised.

    Peak memory is below twice the bfloat16 size: 5.6 GB for 1.5 billion weights.

    Raises:
        ConversionError: the file is damaged or of an architecture that transformers does not read.
        MissingDependencyError: an optional package is not installed.
    """
    check_gguf(path)
    require_packages()
    with quiet_transformers(), _counted_tensors(on_tensor):
        try:
            model, tokenizer = _read_gguf(path, folder)
        except MemoryError:
            raise
        # A damaged file surfaces as struct.error, KeyError, … and from tokenizers as a bare Exception.
        except Exception as error:
            raise ConversionError(path, f"transformers cannot read it ({error})") from error
        _clear_quantisation(model)
        _set_limits(model, tokenizer)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def require_packages() -> None:
    """Raises MissingDependencyError unless everything that a conversion needs is installed."""
    for package in ("torch", "transformers", "gguf", "accelerate"):
        try:
            __import__(package)
        except ImportError as error:
            raise MissingDependencyError(package, "Converting a GGUF model") from error


@contextlib.contextmanager
def _counted_tensors(on_tensor: Callable[[int, int], None]) -> Iterator[None]:
    """Puts `on_tensor` in the place of the bar that transformers draws and offers no switch for."""
    from transformers import modeling_gguf_pytorch_utils as reader

    def count(tensors: Iterable[Any], **_: object) -> Iterator[Any]:
        listed = list(tensors)
        for number, tensor in enumerate(listed, start=1):
            yield tensor
            on_tensor(number, len(listed))

    bar = getattr(reader, "tqdm", None)
    setattr(reader, "tqdm", count)  # noqa: B010
    try:
        yield
    finally:
        setattr(reader, "tqdm", bar)  # noqa: B010


def _read_gguf(path: Path, folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # The absolute file name stands beside an empty folder: a tokenizer.json that happens to lie next to the
    # GGUF file, perhaps of another model, would otherwise win over the tokenizer inside it.
    folder.mkdir(parents=True, exist_ok=True)
    source = str(path.resolve())
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=source, dtype=torch.bfloat16, trust_remote_code=False, local_files_only=True
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=source, trust_remote_code=False, local_files_only=True)
    return model.eval(), tokenizer


def _clear_quantisation(model: Any) -> None:
    # The weights are plain numbers now; with these marks save_pretrained refuses, or a later load misreads.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _set_limits(model: Any, tokenizer: Any) -> None:
    tokenizer.model_max_length = model.config.max_position_embeddings
    vocabulary = tokenizer.get_vocab()
    ends = [vocabulary[token] for token in END_TOKENS if token in vocabulary]
    stated = model.generation_config.eos_token_id
    stated_ids = stated if isinstance(stated, list) else [] if stated is None else [stated]
    model.generation_config.eos_token_id = list(dict.fromkeys([*stated_ids, *ends])) or None
