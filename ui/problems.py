"""Errors become what happened and what to do, in the reader's language."""

from collections.abc import Callable

from index.errors import (
    IndexBusyError,
    IndexDamagedError,
    IndexMismatchError,
    IndexNotFoundError,
    StoreError,
)
from ingest.errors import IngestError
from models.errors import MissingDependencyError, ModelError, NotPreparedError
from rag.errors import ConfigurationError, RagError
from rag.evaluation.errors import EvaluationError
from ui.safe import Html, block, span, tag
from ui.texts import Texts

# What a person can mend; anything else is a defect, which the log shows and the page does not.
EXPECTED = (ModelError, StoreError, RagError, IngestError, OSError)

_Explain = Callable[[Texts], tuple[str, str]]
# The first kind that fits; `str` of the error is the technical detail.
_KINDS: tuple[tuple[type[Exception], _Explain], ...] = (
    (IndexNotFoundError, lambda t: (t.problem_no_index, t.problem_no_index_mend)),
    (IndexMismatchError, lambda t: (t.problem_mismatch, t.problem_mismatch_mend)),
    (IndexDamagedError, lambda t: (t.problem_damaged, t.problem_damaged_mend)),
    (IndexBusyError, lambda t: (t.problem_busy, t.problem_busy_mend)),
    (ModelError, lambda t: (t.problem_model, "")),
    (ConfigurationError, lambda t: (t.problem_configuration, "")),
    (EvaluationError, lambda t: (t.problem_questions, "")),
    (RagError, lambda t: (t.problem_generation, t.problem_generation_mend)),
    (IngestError, lambda t: (t.problem_files, "")),
    (OSError, lambda t: (t.problem_files, "")),
)


def problem(error: Exception | None, texts: Texts) -> Html:
    """A box that says what happened and how to mend it; None stands for a defect of ours."""
    title, mend = explain(error, texts)
    detail = str(error) if error is not None else ""
    return block(
        "fu-problem",
        block("fu-problem-title", title),
        tag("p", mend) if mend else None,
        # Without a mend of ours the message itself carries it.
        tag("details", tag("summary", texts.problem_detail), block("fu-plain", detail), **_open(mend))
        if detail
        else None,
        role="alert",
    )


def explain(error: Exception | None, texts: Texts) -> tuple[str, str]:
    """What happened and what to do about it; the second is empty when only the error's message tells."""
    if isinstance(error, NotPreparedError):
        return texts.problem_not_prepared.format(name=error.name), texts.problem_not_prepared_mend.format(
            name=error.name
        )
    if isinstance(error, MissingDependencyError):
        return texts.problem_dependency.format(name=error.package), texts.problem_dependency_mend.format(
            extra=error.extra
        )
    for kind, explained in _KINDS:
        if isinstance(error, kind):
            return explained(texts)
    return texts.problem_unexpected, texts.problem_unexpected_mend


def notice(text: str) -> Html:
    """A quiet line for the reader."""
    return block("fu-notice", span("fu-notice-text", text))


def _open(mend: str) -> dict[str, str]:
    return {} if mend else {"open": "open"}
