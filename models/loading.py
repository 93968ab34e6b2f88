"""Models in memory, from safetensors only and never with code that comes along with the weights."""

from pathlib import Path
from typing import Any

from models.devices import DevicePlan
from models.errors import ConversionError, DownloadError, MissingDependencyError, ModelError
from models.quiet import quiet_transformers
from models.resolve import ResolvedModel


def load_causal_lm(resolved: ResolvedModel, plan: DevicePlan) -> tuple[Any, Any]:
    """The model, in evaluation mode on the planned device, and its tokenizer.

    Raises:
        DownloadError: a hub model that is neither on this machine nor allowed to be fetched.
        ConversionError: a folder whose weights or tokenizer cannot be read.
        MissingDependencyError: torch or transformers is not installed.
    """
    try:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise MissingDependencyError("transformers", "Running a generator here") from error

    # On a GPU the weights go straight to it; without a map they would pass through the CPU's memory first.
    placement = {} if plan.device == "cpu" else {"device_map": {"": plan.device}}
    shared = {"trust_remote_code": False, "local_files_only": resolved.local_files_only}
    model: Any
    with quiet_transformers():
        try:
            model = AutoModelForCausalLM.from_pretrained(
                resolved.path_or_hub_id,
                dtype=getattr(torch, plan.dtype_name),
                use_safetensors=True,
                **placement,
                **shared,
            )
            tokenizer = AutoTokenizer.from_pretrained(resolved.path_or_hub_id, **shared)
        except (OSError, ValueError, SafetensorError) as error:
            raise _load_error(resolved, error) from error
    # Imported here: it needs torch, which not every use of this module does.
    from models.attention import use_grouped_attention

    use_grouped_attention(model)
    return model.eval(), tokenizer


def load_chat_tokenizer(resolved: ResolvedModel) -> tuple[Any, int]:
    """The tokenizer of a causal model and the tokens of its context, without the weights.

    Raises: what `load_causal_lm` raises.
    """
    try:
        from transformers import AutoConfig, AutoTokenizer
    except ImportError as error:
        raise MissingDependencyError("transformers", "Counting a prompt's tokens") from error

    shared = {"trust_remote_code": False, "local_files_only": resolved.local_files_only}
    with quiet_transformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(resolved.path_or_hub_id, **shared)
            config: Any = AutoConfig.from_pretrained(resolved.path_or_hub_id, **shared)
        except (OSError, ValueError) as error:
            raise _load_error(resolved, error) from error
    return tokenizer, context_tokens(config)


def context_tokens(config: Any) -> int:
    """The longest context that a causal model's configuration states."""
    return int(getattr(config.get_text_config(), "max_position_embeddings", 4096))


def load_sentence_transformer(resolved: ResolvedModel, plan: DevicePlan) -> Any:
    """The sentence-transformers embedder, in evaluation mode on the planned device.

    Raises:
        DownloadError: a hub model that is neither on this machine nor allowed to be fetched.
        ConversionError: a folder whose weights or tokenizer cannot be read.
        MissingDependencyError: sentence-transformers is not installed.
    """
    try:
        import torch
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingDependencyError("sentence-transformers", "Running an embedder here") from error

    # What is here already stays as it is, even with the network: another commit's vectors cannot be compared.
    place = {} if resolved.snapshot is None else _pinned(resolved.snapshot)
    with quiet_transformers():
        try:
            model = SentenceTransformer(
                resolved.path_or_hub_id,
                device=plan.device,
                trust_remote_code=False,
                local_files_only=resolved.local_files_only,
                **place,
                model_kwargs={"use_safetensors": True, "dtype": getattr(torch, plan.dtype_name)},
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise _load_error(resolved, error) from error
    _limit_texts(model)
    return model.eval()


def _limit_texts(model: Any) -> None:
    """Cuts texts where the part of a CLIP-style model that reads them ends: not every tokenizer was told."""
    config = getattr(getattr(model[0], "model", None), "config", None)
    most = getattr(getattr(config, "text_config", None), "max_position_embeddings", None)
    if most is not None and (model.max_seq_length or most + 1) > most:
        model.max_seq_length = most


def load_speech_recognizer(resolved: ResolvedModel, plan: DevicePlan) -> tuple[Any, Any]:
    """The speech recognition model that writes text, in evaluation mode on the planned device, and its processor.

    Raises: what `load_causal_lm` raises.
    """
    try:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor
    except ImportError as error:
        raise MissingDependencyError("transformers", "Understanding speech here") from error

    shared = {"trust_remote_code": False, "local_files_only": resolved.local_files_only}
    model: Any
    load_processor: Any = AutoProcessor.from_pretrained
    with quiet_transformers():
        try:
            model = AutoModelForSpeechSeq2Seq.from_pretrained(
                resolved.path_or_hub_id, dtype=getattr(torch, plan.dtype_name), use_safetensors=True, **shared
            )
            processor = load_processor(resolved.path_or_hub_id, **shared)
        except (OSError, ValueError, SafetensorError) as error:
            raise _load_error(resolved, error) from error
    return model.eval().to(plan.device), processor


def load_cross_encoder(resolved: ResolvedModel, plan: DevicePlan) -> Any:
    """The sentence-transformers cross-encoder, in evaluation mode on the planned device.

    Raises: what `load_sentence_transformer` raises.
    """
    try:
        import torch
        from safetensors import SafetensorError
        from sentence_transformers import CrossEncoder
    except ImportError as error:
        raise MissingDependencyError("sentence-transformers", "Running a cross-encoder here") from error

    with quiet_transformers():
        try:
            model = CrossEncoder(
                resolved.path_or_hub_id,
                device=plan.device,
                trust_remote_code=False,
                local_files_only=resolved.local_files_only,
                model_kwargs={"use_safetensors": True, "dtype": getattr(torch, plan.dtype_name)},
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise _load_error(resolved, error) from error
    return model.eval()


def _pinned(snapshot: Path) -> dict[str, Any]:
    """Where the snapshot lies in the hub's cache: CACHE/models--ORGANISATION--MODEL/snapshots/COMMIT."""
    return {"revision": snapshot.name, "cache_folder": str(snapshot.parents[2])}


def _load_error(resolved: ResolvedModel, error: Exception) -> ModelError:
    if resolved.kind == "hub":
        mend = "Check the name" if not resolved.local_files_only else "Allow the network once to fetch it"
        return DownloadError(
            f"Hub model {resolved.name!r} could not be loaded ({error}). {mend}, or point to a local folder; "
            "its weights must be safetensors."
        )
    return ConversionError(Path(resolved.path_or_hub_id), f"it could not be loaded ({error})")
