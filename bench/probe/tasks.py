"""Passages with questions that they answer or do not, from sets in SQuAD format."""

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rag.evaluation.questions import Paragraph, Question, QuestionSet

# Of the paragraphs of a set with impossible questions, the share that is asked about again among others of its
# article, and the share that questions about others are put to.
_AMONG_OTHERS, _BESIDE = 0.3, 0.15
_MOST_OTHERS = 2
_QUESTIONS = 3
Kind: TypeAlias = Literal["alone", "among", "another"]


@dataclass(frozen=True, slots=True)
class Task:
    """Questions put to the same passages, and which of them these answer.

    `kind` says how they belong together: a paragraph "alone" with what was asked about it, the same "among" others, or
    questions about "another" paragraph, all or some of them.
    """

    kind: Kind
    article: str
    language: str
    passages: tuple[str, ...]
    questions: tuple[str, ...]
    answerable: tuple[bool, ...]

    @property
    def key(self) -> str:
        """What tells its passages and questions from all others."""
        content = json.dumps([self.language, self.passages, self.questions])
        return hashlib.sha256(content.encode()).hexdigest()[:20]


class Article:
    """The paragraphs of one article and what is asked about each, in their order."""

    def __init__(self, title: str, language: str) -> None:
        self.title, self.language = title, language
        self.asked: dict[str, list[Question]] = {}

    def add(self, paragraph: Paragraph, questions: list[Question]) -> None:
        self.asked[paragraph.text] = questions

    def task(self, kind: Kind, passages: list[str], questions: list[tuple[Question, bool]]) -> Task:
        texts, answerable = zip(*((question.text, answered) for question, answered in questions), strict=True)
        return Task(kind, self.title, self.language, tuple(passages), texts, answerable)

    def others(self, *texts: str) -> list[str]:
        """The other paragraphs."""
        return [text for text in self.asked if text not in texts]


def tasks_of(question_set: QuestionSet, *, only: Collection[str] = (), seed: int = 0) -> list[Task]:
    """The tasks of a set: for each paragraph what was asked about it, alone and among others, and about others.

    A set without impossible questions gets them from other paragraphs of the same article. Where some of its articles
    are named in `only`, the rest is left out.
    """
    articles = _articles(question_set)
    named = {title: one for title, one in articles.items() if title in only}
    random_ = random.Random(seed)  # noqa: S311
    make = _hard if any(question.impossible for question in question_set.questions) else _mixed
    return [task for article in (named or articles).values() for task in make(article, random_)]


def _articles(question_set: QuestionSet) -> dict[str, Article]:
    about: dict[str, list[Question]] = defaultdict(list)
    for question in question_set.questions:
        about[question.paragraph_id].append(question)
    articles: dict[str, Article] = {}
    for paragraph in question_set.paragraphs:
        language = question_set.language or "en"
        article = articles.setdefault(paragraph.document_title, Article(paragraph.document_title, language))
        if about[paragraph.id]:
            article.add(paragraph, about[paragraph.id])
    return articles


def _hard(article: Article, random_: random.Random) -> Iterator[Task]:
    """Paragraphs whose questions were written so that some only look as if they were answered."""
    for text, questions in article.asked.items():
        marked = [(question, not question.impossible) for question in questions]
        yield article.task("alone", [text], marked)
        others = article.others(text)
        if len(others) > _MOST_OTHERS and random_.random() < _AMONG_OTHERS:
            yield article.task("among", _shuffled([text, *_some(others, random_, least=1)], random_), marked)
        if others and random_.random() < _BESIDE:
            yield article.task("another", [text], _asked_of(article, others, random_, _QUESTIONS + 1))


def _mixed(article: Article, random_: random.Random) -> Iterator[Task]:
    """Paragraphs, some among others, with questions about them and questions about paragraphs that are not there."""
    for text, questions in article.asked.items():
        others = article.others(text)
        if len(others) < _MOST_OTHERS:
            continue
        near = _some(others, random_, least=0) if len(others) > _MOST_OTHERS and random_.random() < 0.5 else []
        own = random_.sample(questions, min(_QUESTIONS, len(questions)))
        far = _asked_of(article, article.others(text, *near), random_, _QUESTIONS)
        marked = [*((question, True) for question in own), *far]
        yield article.task("another", _shuffled([text, *near], random_), marked)


def _asked_of(article: Article, texts: list[str], random_: random.Random, most: int) -> list[tuple[Question, bool]]:
    """One question of each of so many paragraphs, as one that is not answered."""
    drawn = random_.sample(texts, min(most, len(texts)))
    return [(random_.choice(article.asked[text]), False) for text in drawn]


def _some(texts: list[str], random_: random.Random, *, least: int) -> list[str]:
    return random_.sample(texts, random_.randint(least, _MOST_OTHERS))


def _shuffled(texts: list[str], random_: random.Random) -> list[str]:
    return random_.sample(texts, len(texts))
