"""Errors of the evaluation.

EvaluationError             (a RagError)
├── EvaluationDataError     a question file or folder breaks a rule of its format
└── EvaluationRecordsError  saved per-question records do not fit this evaluation
ExtraMissingError           (a RagError) an optional package is not installed
TooFewQuestionsError        (a RagError) a set is too small to be divided
"""

from pathlib import Path

from rag.errors import RagError


class EvaluationError(RagError):
    """An evaluation cannot go on: names the file, the place in it, the rule that it breaks and the mend."""

    def __init__(self, path: Path, place: str, rule: str, mend: str) -> None:
        where = f"{path}, {place}" if place else str(path)
        super().__init__(f"{where}: {rule}. {mend}")
        self.path = path
        self.place = place
        self.rule = rule
        self.mend = mend


class EvaluationDataError(EvaluationError):
    pass


class EvaluationRecordsError(EvaluationError):
    pass


class ExtraMissingError(RagError):
    """An optional package is needed."""

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        super().__init__(f"{purpose} needs {package}. Run: pip install 'fuente[{extra}]'")


class TooFewQuestionsError(RagError):
    """So few questions would say nothing of others."""

    def __init__(
        self,
        count: int,
        fewest: int,
        *,
        kind: str = "answerable questions",
        purpose: str = "tune on one half and judge on the other",
    ) -> None:
        super().__init__(
            f"the set has {count} {kind}, and at least {fewest} are needed to {purpose}."
            " Add questions, for example with `fuente eval build`"
        )
