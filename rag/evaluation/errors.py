"""Errors of the evaluation.

EvaluationError             (a RagError)
├── EvaluationDataError     a question file or folder breaks a rule of its format
└── EvaluationRecordsError  saved per-question records do not fit this evaluation
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
