"""Searches the settings of retrieval on one half of a question set and judges them on the other."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import Any, cast

import numpy as np

from index.settings import SearchSettings
from rag.evaluation.bootstrap import FloatArray, IndexArray, Interval, bootstrap_mean
from rag.evaluation.errors import ExtraMissingError, TooFewQuestionsError
from rag.evaluation.questions import Question, QuestionSet, sampled
from rag.evaluation.ranks import DEPTH, Ranks
from rag.evaluation.records import RecordFile

NO_RERANK = "none"
# Few values, so that trials share what the channels and the second stage find.
_CANDIDATES = (10, 20, 50, 100, 200)
_RERANK_CANDIDATES = (10, 20, 40)
_FEWEST_QUESTIONS = 20
# With fewer documents, questions are divided by paragraph.
_FEWEST_DOCUMENTS = 8
# A question may need more than one passage, which a set of single answers does not show.
_FEWEST_PASSAGES = 3
# Fewer passages are as good while they lose no more than this share of the questions.
_RECALL_TO_SPARE = 0.005

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Choice:
    """What is tried: how search is done, and the second stage, by its name or "none"."""

    settings: SearchSettings
    rerank: str = NO_RERANK

    def keys(self) -> dict[str, Any]:
        """As keys of the section retrieval."""
        return {**asdict(self.settings), "rerank": self.rerank}


# The ranks (P,) of the questions at some places (P,) with a choice.
Search = Callable[[Choice, IndexArray], Ranks]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best choice, the passages `k` that go with it, and what they do on the questions held back.

    `before`, `after` and `gain` are MRR@10 on these, `gain` paired by question; `recall_before` and `recall_after` the
    share of questions with an answer among the `k` passages. `tried` has the MRR@10 of each trial on the tuning half.
    """

    before_choice: Choice
    choice: Choice
    before_k: int
    k: int
    tuned_on: int
    held_back: int
    before: Interval
    after: Interval
    gain: Interval
    recall_before: Interval
    recall_after: Interval
    tried: tuple[tuple[Choice, float], ...]

    @property
    def is_better(self) -> bool:
        """Whether the gain on the questions held back is above zero, and not by the luck of the draw."""
        return self.gain.low > 0

    def changes(self) -> dict[str, Any]:
        """The keys of the section retrieval that differ."""
        old = {**self.before_choice.keys(), "k": self.before_k}
        new = {**self.choice.keys(), "k": self.k}
        return {key: value for key, value in new.items() if value != old[key]}


@dataclass(frozen=True, slots=True)
class Halves:
    """Places of the questions to tune on and of those held back; `groups` (Q,) are never divided."""

    tuning: IndexArray
    held: IndexArray
    groups: tuple[str, ...]


def tune(
    search: Search,
    halves: Halves,
    before: Choice,
    *,
    reranks: Sequence[str],
    k: int,
    trials: int,
    seed: int,
    records: RecordFile | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """The best of `trials` choices, with one of the second stages `reranks`.

    What `records` has is not tried again, so an interrupted search goes on and ends as if it had not been.
    Raises: ExtraMissingError.
    """
    objective = _Objective(search, halves.tuning, records)
    tried = _trials(objective, before, reranks, trials, seed, progress)
    choice = _least_changed(objective, before, max(tried, key=lambda pair: pair[1])[0])
    old, new = search(before, halves.held), search(choice, halves.held)
    passages = _passages(search(choice, halves.tuning))
    if k > DEPTH or _found(new, passages).mean() < _found(old, k).mean():
        passages = k
    clusters = [halves.groups[place] for place in halves.held]

    def mean(values: FloatArray) -> Interval:
        return bootstrap_mean(values, seed=seed, clusters=clusters)

    return Tuned(
        before_choice=before,
        choice=choice,
        before_k=k,
        k=passages,
        tuned_on=len(halves.tuning),
        held_back=len(halves.held),
        before=mean(1 / old),
        after=mean(1 / new),
        gain=mean(1 / new - 1 / old),
        recall_before=mean(_found(old, k)),
        recall_after=mean(_found(new, passages)),
        tried=tuple(tried),
    )


def divided(question_set: QuestionSet, questions: Sequence[Question], seed: int) -> Halves:
    """Halves of the questions by lot, whole documents on each side, or whole paragraphs where documents are few.

    Raises: TooFewQuestionsError below twenty questions.
    """
    if len(questions) < _FEWEST_QUESTIONS:
        raise TooFewQuestionsError(len(questions), _FEWEST_QUESTIONS)
    titles = {paragraph.id: paragraph.document_title for paragraph in question_set.paragraphs}
    documents = {titles[question.paragraph_id] for question in questions}
    by_document = len(documents) >= _FEWEST_DOCUMENTS
    groups = tuple(titles[one.paragraph_id] if by_document else one.paragraph_id for one in questions)
    sizes = {group: groups.count(group) for group in groups}
    places = {question.id: place for place, question in enumerate(questions)}
    order = dict.fromkeys(groups[places[question.id]] for question in sampled(questions, None, seed))
    sides: dict[str, int] = {}
    filled = [0, 0]
    for group in order:
        sides[group] = int(filled[1] < filled[0])
        filled[sides[group]] += sizes[group]
    held = np.array([bool(sides[group]) for group in groups], np.bool_)
    return Halves(np.flatnonzero(~held), np.flatnonzero(held), groups)


def optimiser() -> Any:
    """The module optuna. Raises: ExtraMissingError."""
    try:
        return cast(Any, import_module("optuna"))
    except ImportError as error:
        raise ExtraMissingError("fuente tune", "optuna", "tune") from error


class _Objective:
    """MRR@10 of a choice on the questions to tune on; each choice is searched once."""

    def __init__(self, search: Search, places: IndexArray, records: RecordFile | None) -> None:
        self._search = search
        self._places = places
        self._records = records
        self._known: dict[str, float] = {}
        if records is not None:
            self._known = {key: float(record["mrr@10"]) for key, record in records.done.items()}

    def __call__(self, choice: Choice) -> float:
        key = json.dumps(choice.keys(), sort_keys=True)
        if key not in self._known:
            self._known[key] = float((1 / self._search(choice, self._places)).mean())
            if self._records is not None:
                self._records.append(key, {"mrr@10": self._known[key]})
        return self._known[key]


def _trials(
    objective: _Objective,
    before: Choice,
    reranks: Sequence[str],
    trials: int,
    seed: int,
    progress: Progress | None,
) -> list[tuple[Choice, float]]:
    """Each choice with its value, first what is configured now, which so wins a tie."""
    optuna = optimiser()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Asked in one process with one seed it suggests the same again, which is how an interrupted search goes on.
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    tried = [(before, objective(before))]
    for number in range(trials):
        if progress:
            progress(number, trials)
        trial = study.ask()
        choice = _suggested(trial, before, reranks)
        tried.append((choice, objective(choice)))
        study.tell(trial, tried[-1][1])
    if progress:
        progress(trials, trials)
    return tried


def _suggested(trial: Any, before: Choice, reranks: Sequence[str]) -> Choice:
    changes: dict[str, Any] = {
        "channel": trial.suggest_categorical("channel", ["fused", "dense", "lexical"]),
        "candidates": trial.suggest_categorical("candidates", _CANDIDATES),
    }
    rerank = trial.suggest_categorical("rerank", list(reranks)) if len(reranks) > 1 else reranks[0]
    if rerank != NO_RERANK:
        changes["rerank_candidates"] = trial.suggest_categorical("rerank_candidates", _RERANK_CANDIDATES)
        changes["rerank_margin"] = trial.suggest_float("rerank_margin", 0.25, 4.0, step=0.25)
    if changes["channel"] == "fused":
        changes["fusion"] = trial.suggest_categorical("fusion", ["mix", "rrf"])
        if changes["fusion"] == "mix":
            # Two decimals say all that a set of some hundred questions can tell.
            changes["dense_weight"] = round(trial.suggest_float("dense_weight", 0.0, 1.0, step=0.05), 2)
    return Choice(replace(before.settings, **changes), rerank)


def _least_changed(objective: _Objective, before: Choice, best: Choice) -> Choice:
    """The choice with every key put back whose change gains nothing on the tuning half."""
    value = objective(best)
    for name in ("rerank_margin", "rerank_candidates", "candidates", "dense_weight", "fusion", "channel"):
        back = replace(best, settings=replace(best.settings, **{name: getattr(before.settings, name)}))
        if back != best and objective(back) >= value:
            best = back
    back = replace(best, rerank=before.rerank)
    return back if objective(back) >= value else best


def _passages(ranks: Ranks) -> int:
    """The fewest passages that find about as much as ten do."""
    wanted = _found(ranks, DEPTH).mean() - _RECALL_TO_SPARE
    return next(k for k in range(_FEWEST_PASSAGES, DEPTH + 1) if _found(ranks, k).mean() >= wanted)


def _found(ranks: Ranks, k: int) -> FloatArray:
    return (ranks <= k).astype(np.float64)
