"""Reads retrieval sets in BEIR format: a folder with `corpus.jsonl`, `queries.jsonl` and `qrels/*.tsv`.

Source: Thakur et al., "BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation" (2021).
"""

from pathlib import Path

from rag.evaluation.errors import EvaluationDataError
from rag.evaluation.questions import Paragraph, Question, QuestionSet, language_of_name
from rag.evaluation.reading import read_json_lines, read_text


def read_beir(folder: Path, *, split: str = "test", language: str | None = None) -> QuestionSet:
    """The question set of `folder`, judged by `qrels/{split}.tsv`.

    Scores above 0 count as relevant. Questions without a relevant paragraph are left out. A paragraph without
    text is its title; paragraphs with the same text are one, under the id of the first.

    Raises: EvaluationDataError for a missing or malformed file, an unknown id, or an id that occurs twice.
    """
    language = language or language_of_name(folder.name)
    paragraphs, identity = _corpus(folder / "corpus.jsonl")
    texts = _queries(folder / "queries.jsonl")
    judged_file = _judged_file(folder / "qrels", split)
    questions = []
    for query_id, relevant in _relevant(judged_file, texts, identity).items():
        first, *others = relevant
        questions.append(Question(query_id, texts[query_id], (), (), first, False, language, tuple(others)))
    if not questions:
        raise EvaluationDataError(judged_file, "", "no question has a relevant paragraph", "Give a judged split")
    return QuestionSet(folder.name, language, paragraphs, tuple(questions))


def _corpus(path: Path) -> tuple[tuple[Paragraph, ...], dict[str, str]]:
    """The different paragraphs, and for each id in the file the id of the paragraph that stands for it."""
    by_text: dict[str, Paragraph] = {}
    identity: dict[str, str] = {}
    for entry in read_json_lines(path):
        key = entry.get("_id").key()
        if key in identity:
            raise entry.error(f'id "{key}" occurs twice', "Give each paragraph its own id")
        title = entry.get("title").text_or_empty() if entry.has("title") else ""
        text = entry.get("text").text_or_empty() or title
        identity[key] = by_text.setdefault(text, Paragraph(key, title, text)).id
    return tuple(by_text.values()), identity


def _queries(path: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    for entry in read_json_lines(path):
        key = entry.get("_id").key()
        if key in texts:
            raise entry.error(f'id "{key}" occurs twice', "Give each question its own id")
        texts[key] = entry.get("text").text()
    return texts


def _judged_file(folder: Path, split: str) -> Path:
    path = folder / f"{split}.tsv"
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in folder.glob("*.tsv"))) or "none"
        raise EvaluationDataError(path, "", f"the split has no judgements (there are: {there})", "Name one of these")
    return path


def _relevant(path: Path, texts: dict[str, str], identity: dict[str, str]) -> dict[str, dict[str, None]]:
    """For each question the ids of its relevant paragraphs, as dict keys: in order and without doubles."""
    relevant: dict[str, dict[str, None]] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        cells = line.strip().split("\t")
        if cells == [""] or (number == 1 and cells[-1] == "score"):
            continue
        query_id, paragraph_id = _judgement(path, f"line {number}", cells, texts, identity)
        if paragraph_id is not None:
            relevant.setdefault(query_id, {})[paragraph_id] = None
    return relevant


def _judgement(
    path: Path, place: str, cells: list[str], texts: dict[str, str], identity: dict[str, str]
) -> tuple[str, str | None]:
    """The question and the paragraph of one line, None for a paragraph that is not relevant."""
    if len(cells) != 3 or not cells[2].lstrip("-").isdecimal():
        mend = "Write query-id, corpus-id and a whole-number score, separated by tabs"
        raise EvaluationDataError(path, place, "it is no judgement", mend)
    query_id, paragraph_id, score = cells
    if query_id not in texts:
        mend = "Add it there or remove the line"
        raise EvaluationDataError(path, place, f'question "{query_id}" is not in queries.jsonl', mend)
    if int(score) <= 0:
        return query_id, None
    if paragraph_id not in identity:
        mend = "Add it there or remove the line"
        raise EvaluationDataError(path, place, f'paragraph "{paragraph_id}" is not in corpus.jsonl', mend)
    return query_id, identity[paragraph_id]
