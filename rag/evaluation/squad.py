"""Reads question sets in SQuAD format: v1.1, v2 with impossible questions, FaQuAD, XQuAD, MLQA and kin.

Source: Rajpurkar et al., "SQuAD: 100,000+ Questions" (2016) and "Know What You Don't Know" (2018).
"""

from dataclasses import dataclass, replace
from pathlib import Path

from rag.evaluation.errors import EvaluationDataError
from rag.evaluation.questions import Paragraph, Question, QuestionSet, language_of_name
from rag.evaluation.reading import JsonPlace, read_json


@dataclass(frozen=True, slots=True)
class _Block:
    """One paragraph of the file with its questions, before equal paragraphs are made one."""

    place: str
    title: str
    text: str
    questions: tuple[Question, ...]


def read_squad(path: Path, *, language: str | None = None) -> QuestionSet:
    """The question set of one file, named after it.

    Paragraphs with the same text are one, under the id of the first. `language` is taken from the file name
    (`xquad.es.json`) unless given. Where the file states a wrong place for an answer, the nearest occurrence
    counts, if there is any: in FaQuAD about 2 % of the places are wrong.

    Raises: EvaluationDataError for a file that is not in SQuAD format, or has a question id twice.
    """
    language = language or language_of_name(path.stem)
    return _question_set(path, path.stem, language, _read_blocks(path, language))


def parallel(questions_file: Path, passages_file: Path) -> QuestionSet:
    """The questions of one file over the paragraphs of its translation, as in XQuAD.

    Both files must hold the same question ids in the same order. An answer counts as right in either
    language: first come the answers of `passages_file` with their places, then those of `questions_file`.

    Raises: EvaluationDataError as `read_squad`, and where the files are not parallel.
    """
    asked = _read_blocks(questions_file, language_of_name(questions_file.stem))
    translated = _read_blocks(passages_file, None)
    if len(asked) != len(translated):
        raise EvaluationDataError(
            passages_file,
            "",
            f"it has {len(translated)} paragraphs where {questions_file.name} has {len(asked)}",
            "Give two translations of one set",
        )
    blocks = [_crossed(passages_file, *pair) for pair in zip(asked, translated, strict=True)]
    name = f"{questions_file.stem}+{passages_file.stem}"
    return _question_set(passages_file, name, language_of_name(passages_file.stem), blocks)


def _crossed(path: Path, asked: _Block, translated: _Block) -> _Block:
    if [question.id for question in asked.questions] != [question.id for question in translated.questions]:
        raise EvaluationDataError(
            path,
            translated.place,
            "its question ids are not those of the same paragraph in the other file",
            "Give two translations of one set, in the same order",
        )
    pairs = zip(asked.questions, translated.questions, strict=True)
    return replace(translated, questions=tuple(_both_answers(*pair) for pair in pairs))


def _both_answers(asked: Question, translated: Question) -> Question:
    own = tuple(answer for answer in asked.answers if answer not in translated.answers)
    return replace(
        translated,
        text=asked.text,
        language=asked.language,
        answers=translated.answers + own,
        answer_starts=translated.answer_starts + (None,) * len(own),
    )


def _question_set(path: Path, name: str, language: str | None, blocks: list[_Block]) -> QuestionSet:
    paragraphs: dict[str, Paragraph] = {}
    questions: dict[str, Question] = {}
    for position, block in enumerate(blocks):
        # Ids count positions in the file, so translations of one set give the same paragraph the same id.
        paragraph = paragraphs.setdefault(block.text, Paragraph(f"p{position:05d}", block.title, block.text))
        for question in block.questions:
            placed = replace(question, paragraph_id=paragraph.id)
            if questions.setdefault(question.id, placed) != placed:
                raise EvaluationDataError(
                    path,
                    block.place,
                    f'question id "{question.id}" occurs twice',
                    "Give each question its own id",
                )
    if not questions:
        raise EvaluationDataError(path, "", "the file holds no question", "Give a file with questions")
    return QuestionSet(name, language, tuple(paragraphs.values()), tuple(questions.values()))


def _read_blocks(path: Path, language: str | None) -> list[_Block]:
    blocks = []
    for article in read_json(path).get("data").items():
        title = article.get("title").text_or_empty() if article.has("title") else ""
        for paragraph in article.get("paragraphs").items():
            text = paragraph.get("context").text()
            questions = tuple(read_question(entry, text, language) for entry in paragraph.get("qas").items())
            blocks.append(_Block(paragraph.place, title, text, questions))
    return blocks


def read_question(entry: JsonPlace, paragraph: str, language: str | None) -> Question:
    """The question of one object, without the id of its paragraph. Raises: EvaluationDataError."""
    # Some v2 files mark an impossible question by empty answers alone; v1.1 files have no mark at all.
    answers = _answers(entry, paragraph)
    impossible = entry.get("is_impossible").truth() if entry.has("is_impossible") else not answers
    if impossible and answers:
        raise entry.error("it is impossible and yet has answers", 'Move them to "plausible_answers"')
    if not impossible and not answers:
        raise entry.error("it is not impossible and yet has no answer", 'Add an answer or set "is_impossible"')
    return Question(
        id=entry.get("id").key(),
        text=entry.get("question").text(),
        answers=tuple(text for text, _ in answers),
        answer_starts=tuple(start for _, start in answers),
        paragraph_id="",
        impossible=impossible,
        language=language,
    )


def _answers(entry: JsonPlace, paragraph: str) -> list[tuple[str, int | None]]:
    """Different answers with their places. An answer without text is how some files write none at all."""
    answers: dict[str, int | None] = {}
    for text, stated in _stated_answers(entry.get("answers")):
        if text.strip():
            answers.setdefault(text, _start(paragraph, text, stated))
    return list(answers.items())


def _stated_answers(answers: JsonPlace) -> list[tuple[str, object]]:
    """Pairs of text and stated place, from a list of objects or from an object of two lists."""
    if not isinstance(answers.value, dict):
        return [(answer.get("text").text_or_empty(), answer.value.get("answer_start")) for answer in answers.items()]
    texts = [text.text_or_empty() for text in answers.get("text").items()]
    starts = [start.value for start in answers.get("answer_start").items()]
    if len(texts) != len(starts):
        raise answers.error(
            f'"text" has {len(texts)} entries and "answer_start" {len(starts)}',
            "Give one place for each text",
        )
    return list(zip(texts, starts, strict=True))


def _start(paragraph: str, answer: str, stated: object) -> int | None:
    if not isinstance(stated, int) or stated < 0:
        stated = 0
    if paragraph.startswith(answer, stated):
        return stated
    places = (paragraph.rfind(answer, 0, stated + len(answer)), paragraph.find(answer, stated))
    found = [place for place in places if place >= 0]
    return min(found, key=lambda place: abs(place - stated)) if found else None
