"""Questions in, answers with sources out."""

from index.filters import Filter
from rag.answer_json import answer_json, answer_schema
from rag.answerer import Answerer
from rag.compose import Fuente
from rag.config import Config, load_config
from rag.conversation import Conversation
from rag.retriever import Retriever
from rag.types import Answer, Citation, Message, Options, Sampling

__all__ = [
    "Answer",
    "Answerer",
    "Citation",
    "Config",
    "Conversation",
    "Filter",
    "Fuente",
    "Message",
    "Options",
    "Retriever",
    "Sampling",
    "answer_json",
    "answer_schema",
    "load_config",
]
