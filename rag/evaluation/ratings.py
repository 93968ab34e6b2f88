"""Answers for a person to rate, in a file, and how far a model's verdicts and the counting of words agree with it.

    {"fuente": {"ratings": 1, "set": …},
     "answers": [{"id", "question", "expected": […], "answer", "rating": null}],
     "verdicts": {id: P(yes) of the model}}

A person puts "right", "partly" or "wrong" in place of null. The verdicts stand apart, so that nobody rates with them in
view.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from index.files import replace as replace_file
from rag.evaluation.abstention import auroc
from rag.evaluation.answers import contains
from rag.evaluation.bootstrap import FloatArray, IndexArray, Interval, bootstrap_mean, bootstrap_statistic
from rag.evaluation.errors import EvaluationRecordsError
from rag.evaluation.questions import Question, QuestionSet, sampled
from rag.evaluation.reading import JsonPlace, read_json
from rag.evaluation.records import AnswerRecord
from rag.evaluation.report import Report, Section, as_json

FORMAT = 1
RATINGS = {"right": 1.0, "partly": 0.5, "wrong": 0.0}
_LIKELY = 0.5


@dataclass(frozen=True, slots=True)
class Rated:
    """An answer with what a person and a model say of it, None where they did not yet."""

    question: Question
    answer: str
    rating: str | None = None
    verdict: float | None = None

    @property
    def has_words(self) -> bool:
        """Whether an expected answer stands in it word for word."""
        return bool(contains(self.answer, self.question.answers, self.question.language))


def to_rate(
    questions: QuestionSet, answers: Mapping[str, AnswerRecord], path: Path, limit: int | None, seed: int
) -> list[Rated]:
    """The answers, kept at `path`, to questions of which an answer is known; so many of them, drawn by the seed.

    Raises: EvaluationRecordsError when there is none.
    """
    given = [
        question
        for question in questions.questions
        if question.answers and question.id in answers and not answers[question.id].abstained
    ]
    if not given:
        mend = "Give the records of this set, with some questions answered"
        raise EvaluationRecordsError(path, "", f"it holds no answer to a question of {questions.name}", mend)
    return [Rated(question, answers[question.id].text) for question in sampled(given, limit, seed)]


def write_ratings(path: Path, name: str, rated: Sequence[Rated]) -> None:
    """Writes the file, whole or not at all."""
    entries = [
        {
            "id": one.question.id,
            "question": one.question.text,
            "expected": list(dict.fromkeys(one.question.answers)),
            "answer": one.answer,
            "rating": one.rating,
        }
        for one in rated
    ]
    verdicts = {one.question.id: round(one.verdict, 4) for one in rated if one.verdict is not None}
    content = {"fuente": {"ratings": FORMAT, "set": name}, "answers": entries, "verdicts": verdicts}
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode("utf-8", errors="backslashreplace"))


def read_ratings(path: Path, questions: QuestionSet) -> list[Rated]:
    """What `write_ratings` wrote and a person filled in.

    Raises: EvaluationDataError for a file of another kind or set, a question that the set does not have, or another
    rating.
    """
    root = read_json(path)
    about = root.get("fuente")
    if (form := about.get("ratings")).value != FORMAT:
        raise form.error(f"the format is {form.value!r}, this program reads {FORMAT}", "Update Fuente")
    if (name := about.get("set")).value != questions.name:
        raise name.error(f"these are answers to {name.value!r}, not to {questions.name!r}", "Name another file")
    known = {question.id: question for question in questions.questions}
    verdicts = root.get("verdicts")
    return [_read(entry, known, verdicts) for entry in root.get("answers").items()]


def judged(
    rated: Sequence[Rated], judge: Callable[[Question, str], float], progress: Callable[[int, int], None]
) -> list[Rated]:
    """The answers with verdicts where they had none; Ctrl-C leaves the rest without."""
    done = list(rated)
    missing = [place for place, one in enumerate(done) if one.verdict is None]
    try:
        for count, place in enumerate(missing):
            progress(count, len(missing))
            done[place] = replace(done[place], verdict=judge(done[place].question, done[place].answer))
        progress(len(missing), len(missing))
    except KeyboardInterrupt:
        pass
    return done


def ratings_report(name: str, rated: Sequence[Rated], seed: int) -> Report:
    """The share of right answers as counted by words, as the model says and as a person does, and how they agree."""
    about = {"name": name, "questions": len(rated), "paragraphs": len(set(_clusters(rated)))}
    report: Report = {"words": {"contains": _mean(rated, lambda one: float(one.has_words), seed)}}
    told = [one for one in rated if one.verdict is not None]
    if told:
        report["model"] = {"judged": len(told), "right": _mean(told, lambda one: float(_likely(one)), seed)}
    seen = [one for one in rated if one.rating is not None]
    if seen:
        report["person"] = _by_person(seen, seed)
    unfinished = len(told) not in (0, len(rated))
    return {**as_json(report), "set": about, "interrupted": unfinished}


def _by_person(seen: Sequence[Rated], seed: int) -> Section:
    """How a person rates, and of words and model: how often they say the same, Cohen's kappa, and the model's AUROC."""
    right = np.array([one.rating == "right" for one in seen])
    section: Section = {
        "rated": len(seen),
        "score": _mean(seen, lambda one: RATINGS[str(one.rating)], seed),
        "right": _mean(seen, lambda one: float(one.rating == "right"), seed),
        "words_agree": float(np.mean([one.has_words for one in seen] == right)),
        "words_kappa": kappa(np.array([one.has_words for one in seen]), right),
    }
    told = [one for one in seen if one.verdict is not None]
    if told:
        right = np.array([one.rating == "right" for one in told])
        likely, verdicts = np.array([_likely(one) for one in told]), np.array([one.verdict for one in told], np.float64)

        def ranked(draw: IndexArray) -> float:
            return auroc(verdicts[draw], right[draw])

        section |= {
            "model_agrees": float(np.mean(likely == right)),
            "model_kappa": kappa(likely, right),
            "model_auroc": bootstrap_statistic(ranked, len(told), seed=seed, clusters=_clusters(told)),
        }
    return section


def kappa(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> float:
    """How much more often two judges (N,) of yes or no agree than by chance; 1 always, NaN where chance agrees always.

    Source: Cohen 1960.
    """
    agree = float(np.mean(first == second))
    a, b = float(np.mean(first)), float(np.mean(second))
    chance = a * b + (1 - a) * (1 - b)
    return (agree - chance) / (1 - chance) if chance < 1 else float("nan")


def _read(entry: JsonPlace, known: Mapping[str, Question], verdicts: JsonPlace) -> Rated:
    key = entry.get("id")
    question = known.get(key.key())
    if question is None:
        raise key.error("the set has no such question", "Give the set that was answered, or write the file anew")
    rating = entry.get("rating")
    if rating.value is not None and rating.value not in RATINGS:
        raise rating.error(f"the rating is {rating.value!r}", f"Write null or one of {', '.join(RATINGS)}")
    verdict = verdicts.get(question.id).fraction() if verdicts.has(question.id) else None
    return Rated(question, entry.get("answer").text_or_empty(), rating.value, verdict)


def _likely(one: Rated) -> bool:
    return one.verdict is not None and one.verdict > _LIKELY


def _mean(rated: Sequence[Rated], value: Callable[[Rated], float], seed: int) -> Interval:
    values: FloatArray = np.array([value(one) for one in rated], np.float64)
    return bootstrap_mean(values, seed=seed, clusters=_clusters(rated))


def _clusters(rated: Sequence[Rated]) -> list[str]:
    return [one.question.paragraph_id for one in rated]
