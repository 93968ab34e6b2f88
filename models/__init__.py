"""Where weights come from: named models, packages, folders and hub names; checks, conversion, devices."""

from models.adapters import adapter_revision, merge_adapter
from models.catalog import CATALOG, ModelSpec, get
from models.deferred import DeferredEmbedder, defer_sentence_transformer
from models.devices import DevicePlan, HardwareReport, hardware_report, plan_device, rooms
from models.errors import DimensionError, ModelError, NotPreparedError, UnknownModelError
from models.loading import (
    context_tokens,
    load_causal_lm,
    load_chat_tokenizer,
    load_cross_encoder,
    load_sentence_transformer,
    load_speech_recognizer,
)
from models.planning import EVERYTHING_FITS, MemoryPlan, ModelShape, Room, plan_memory, shape_of
from models.prepare import is_prepared, prepare, verify
from models.progress import Progress
from models.resolve import ResolvedModel, resolve
from models.revision import revision_of

__all__ = [
    "CATALOG",
    "EVERYTHING_FITS",
    "DeferredEmbedder",
    "DevicePlan",
    "DimensionError",
    "HardwareReport",
    "MemoryPlan",
    "ModelError",
    "ModelShape",
    "ModelSpec",
    "NotPreparedError",
    "Progress",
    "ResolvedModel",
    "Room",
    "UnknownModelError",
    "adapter_revision",
    "context_tokens",
    "defer_sentence_transformer",
    "get",
    "hardware_report",
    "is_prepared",
    "load_causal_lm",
    "load_chat_tokenizer",
    "load_cross_encoder",
    "load_sentence_transformer",
    "load_speech_recognizer",
    "merge_adapter",
    "plan_device",
    "plan_memory",
    "prepare",
    "resolve",
    "revision_of",
    "rooms",
    "shape_of",
    "verify",
]
