"""Fuente in LangChain's terms, and LangChain's components as parts of Fuente.

Ours as theirs: `ChatFuente` (chat model) and `FuenteVectorStore`; `rag.Retriever` and `index.Embedder` are a
LangChain retriever and embeddings as they are. Theirs as ours: `LangChainGenerator` and `LangChainSearch`.
"""

from rag.langchain.chat_model import ChatFuente
from rag.langchain.generator import LangChainGenerator
from rag.langchain.search import LangChainSearch
from rag.langchain.vector_store import FuenteVectorStore

__all__ = ["ChatFuente", "FuenteVectorStore", "LangChainGenerator", "LangChainSearch"]
