"""Messages become tokens of a chat model's prompt, which needs its tokenizer but not its weights."""

import re
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from index.embedder import readable
from rag.types import Message


class ChatTokens:
    """The ids of prompts and texts; what a text spells out like a special token becomes ordinary ones."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._control = _control_tokens(tokenizer)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids of the prompt, chat template included, up to where the reply begins."""
        # A document that spells out the end of a turn must not be able to begin one of its own.
        turns = [{"role": m.role, "content": self._control.sub(_broken, m.content)} for m in messages]
        text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return self._ids(str(text))

    def plain(self, text: str) -> list[int]:
        """Ids of a text that no chat template surrounds."""
        return self._ids(self._control.sub(_broken, text))

    def count(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt."""
        return len(self.prompt(messages))

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(readable(text), add_special_tokens=False)["input_ids"])


def _control_tokens(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """Matches the texts that the tokenizer would read as special tokens."""
    added = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    texts = sorted({*added, *tokenizer.all_special_tokens}, key=len, reverse=True)
    return re.compile("|".join(re.escape(text) for text in texts if len(text) > 1) or r"(?!)")


def _broken(control: re.Match[str]) -> str:
    """The text of a special token, no longer one: a space parts its first character from the rest."""
    return f"{control[0][0]} {control[0][1:]}"
