"""What is shown below the last answer on demand: a button that shows or hides it, and what it takes, made once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import streamlit as st

from ui.jobs import AnswerJob
from ui.problems import EXPECTED, problem
from ui.show import show
from ui.texts import Texts

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class OnDemand:
    """One such thing; `key` is its button's."""

    key: str
    icon: str

    def button(self, turn: AnswerJob, label: str, label_shown: str) -> None:
        """Shows it below a turn, or hides it."""
        shown = self.is_shown(turn)
        st.button(
            label_shown if shown else label,
            key=self.key,
            icon=self.icon,
            type="tertiary",
            on_click=partial(st.session_state.__setitem__, f"{self.key}_turn", None if shown else turn.number),
        )

    def is_shown(self, turn: AnswerJob) -> bool:
        """Whether it is shown below a turn."""
        return bool(st.session_state.get(f"{self.key}_turn") == turn.number)

    def made(self, turn: AnswerJob, make: Callable[[], Made], waiting: str, texts: Texts) -> Made | None:
        """What it takes for a turn, made when it is first shown; None, and the problem is told, where that failed."""
        known = st.session_state.get(f"{self.key}_made")
        if known is None or known[0] is not turn:
            try:
                with st.spinner(waiting):
                    known = (turn, make())
            except EXPECTED as error:
                show(problem(error, texts))
                return None
            st.session_state[f"{self.key}_made"] = known
        made: Made = known[1]
        return made
