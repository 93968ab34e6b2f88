"""An OpenAI-compatible server (vLLM, llama.cpp, Ollama, …) as generator."""

import json
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any, cast

from rag.errors import ConfigurationError, GenerationError
from rag.types import Message, Sampling

# Servers do not say how they tokenize. Spanish and Portuguese prose has 3 to 4 characters a token with the usual
# vocabularies; the low end keeps prompts inside the context.
_CHARACTERS_PER_TOKEN = 3.0


class ServerGenerator:
    """Replies of a model behind the OpenAI chat-completions protocol. The user configured its address."""

    def __init__(self, url: str, model: str, *, api_key: str = "", context_tokens: int = 8192) -> None:
        try:
            import httpx
            import openai
        except ImportError as error:
            raise ConfigurationError(
                "server.url is set but the client is not installed. Run: pip install 'fuente[server]'"
            ) from error
        if not model:
            raise ConfigurationError("server.url is set but server.model is empty. Name a model that it serves")
        self.name = model
        self.context_tokens = context_tokens
        # The client wraps what goes wrong up to the first byte of the reply; after it, errors are httpx's own.
        self._errors: tuple[type[Exception], ...] = (openai.OpenAIError, httpx.HTTPError, json.JSONDecodeError)
        self._client = openai.OpenAI(base_url=url, api_key=api_key or "none", max_retries=1)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """An estimate on the high side."""
        return int(sum(len(message.content) for message in messages) / _CHARACTERS_PER_TOKEN) + 8 * len(messages)

    def stream(self, messages: Sequence[Message], sampling: Sampling, *, cancel: Event | None = None) -> Iterator[str]:
        """Pieces of the reply.

        Raises: GenerationError when the server cannot be reached or refuses.
        """
        if cancel is not None and cancel.is_set():
            return
        optional = {"seed": sampling.seed, "stop": list(sampling.stop) or None}
        try:
            chunks = self._client.chat.completions.create(
                model=self.name,
                messages=cast("Any", [{"role": m.role, "content": m.content} for m in messages]),
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=sampling.max_tokens,
                stream=True,
                # Some servers refuse a null.
                **cast("Any", {name: value for name, value in optional.items() if value is not None}),
                extra_body=_beyond_openai(sampling) or None,
            )
            with chunks:
                for chunk in chunks:
                    if cancel is not None and cancel.is_set():
                        return
                    if chunk.choices and chunk.choices[0].delta.content:
                        yield chunk.choices[0].delta.content
        except self._errors as error:
            raise GenerationError(
                f"{self._client.base_url}: {error}. Check server.url, server.model and that it is running"
            ) from error


def _beyond_openai(sampling: Sampling) -> dict[str, float]:
    """What OpenAI's own servers do not know and refuse: sent only where it was asked for, to vLLM and its like."""
    given = {"min_p": sampling.min_p, "repetition_penalty": sampling.repetition_penalty}
    neutral = Sampling()
    return {name: value for name, value in given.items() if value != getattr(neutral, name)}
