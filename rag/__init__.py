"""Questions in, answers with sources out."""

from rag.answerer import Answerer
from rag.compose import Fuente
from rag.config import Config, load_config
from rag.retriever import Retriever
from rag.types import Answer, Citation, Message, Sampling

__all__ = ["Answer", "Answerer", "Citation", "Config", "Fuente", "Message", "Retriever", "Sampling", "load_config"]
