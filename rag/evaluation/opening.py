"""Opens question sets over the index that they are asked of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.compose import Fuente
from rag.evaluation.beir import read_beir
from rag.evaluation.documents import over_documents
from rag.evaluation.harness import Harness, over_golds, over_paragraphs
from rag.evaluation.own import is_own, placed, read_own
from rag.evaluation.questions import Question, QuestionSet, sampled
from rag.evaluation.squad import parallel, read_squad


@dataclass(frozen=True, slots=True)
class Opened:
    """A question set and the application over the index that it is asked of; `own` when that is the person's own.

    `by_paragraph` when every paragraph of the set is a passage under its own id.
    """

    question_set: QuestionSet
    harness: Harness
    own: bool
    by_paragraph: bool = False

    def answerable(self, limit: int | None, seed: int) -> Sequence[Question]:
        """The questions that have an answer to find."""
        drawn = sampled(self.question_set.questions, limit, seed)
        return [question for question in drawn if not question.impossible]


def open_set(
    fuente: Fuente,
    file: Path,
    *,
    tell: Callable[[str], None],
    passages: Path | None = None,
    chunked: bool = False,
) -> Opened:
    """A set over the index that was made from, or a public set over an index of its own paragraphs or documents.

    `tell` is given a sentence about what there is to ask.

    Raises: EvaluationDataError; ValueError for options that do not go with the set.
    """
    if not file.is_dir() and is_own(file):
        if passages or chunked:
            raise ValueError(f"{file} asks your own index, whose passages are cut already. Leave out the option")
        own = read_own(file)
        question_set, golds = placed(own, fuente.index, file)
        lost = len(own.question_set.questions) - len(question_set.questions)
        if lost:
            tell(f"{lost} questions are left out: their passages are no longer in the index")
        tell(f"{len(question_set.questions)} questions to {fuente.config.index}")
        return Opened(question_set, over_golds(fuente, golds), own=True)
    question_set = _read(file, passages)
    tell(f"{len(question_set.paragraphs)} paragraphs, {len(question_set.questions)} questions; indexing")
    over = over_documents if chunked else over_paragraphs
    harness = over(fuente, question_set, fuente.config.models.cache / "evaluation")
    return Opened(question_set, harness, own=False, by_paragraph=not chunked)


def read_set(file: Path) -> QuestionSet:
    """The questions of a set of any kind, asked of nothing.

    Raises: EvaluationDataError.
    """
    if not file.is_dir() and is_own(file):
        return read_own(file).question_set
    return _read(file, None)


def _read(questions: Path, passages: Path | None) -> QuestionSet:
    if questions.is_dir():
        return read_beir(questions)
    return parallel(questions, passages) if passages else read_squad(questions)
