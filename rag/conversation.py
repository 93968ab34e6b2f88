"""What was said before, as far as a follow-up question needs it."""

from dataclasses import dataclass

from rag.types import Answer


@dataclass(frozen=True, slots=True)
class Turn:
    """A question that stands alone, and the reply without markers; "" when the documents did not hold one."""

    question: str
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Questions and replies, oldest first.

    conversation = Conversation()
    answer = answerer.answer("¿Quién inventó las GAN?", history=conversation)
    conversation = conversation.after(answer)
    answer = answerer.answer("¿Y en qué año?", history=conversation)
    """

    turns: tuple[Turn, ...] = ()

    def after(self, answer: Answer) -> "Conversation":
        """The conversation once this answer was given."""
        reply = "" if answer.abstained else answer.bare_text
        return Conversation((*self.turns, Turn(answer.standalone_question, reply)))

    def last(self, turns: int) -> "Conversation":
        """Its end."""
        return Conversation(self.turns[-turns:])

    def __bool__(self) -> bool:
        return bool(self.turns)
