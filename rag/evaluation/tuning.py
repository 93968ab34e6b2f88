"""Searches the settings of retrieval on one half of a question set and judges them on the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from index.search import SearchSettings
from rag.evaluation.bootstrap import FloatArray, IndexArray, Interval, bootstrap_mean
from rag.evaluation.channels import DEPTH, ChannelScores, Ranks
from rag.evaluation.errors import ExtraMissingError, TooFewQuestionsError
from rag.evaluation.questions import Question, sampled

NO_RERANK = "none"
MOST_CANDIDATES = 200
# Each is one search of all questions with the second stage, which takes longer than all trials without it.
_RERANK_CANDIDATES = (10, 20, 40)
_FEWEST_QUESTIONS = 20
# A question may need more than one passage, which a set of single answers does not show.
_FEWEST_PASSAGES = 3
# Fewer passages are as good while they lose no more than this share of the questions.
_RECALL_TO_SPARE = 0.005


@dataclass(frozen=True, slots=True)
class Choice:
    """What is tried: how channels are combined, how large chunks are, and the second stage, by its name or "none"."""

    settings: SearchSettings
    chunk_tokens: int
    rerank: str = NO_RERANK

    def sections(self) -> dict[str, dict[str, Any]]:
        """By section of the configuration."""
        retrieval = {**asdict(self.settings), "rerank": self.rerank}
        return {"retrieval": retrieval, "ingest": {"chunk_tokens": self.chunk_tokens}}


class Searches:
    """The ranks of all questions in one index: those of both channels at once, those of the second stage on demand."""

    def __init__(self, channels: ChannelScores, reranked: Callable[[SearchSettings], Ranks] | None = None) -> None:
        """`reranked` searches with the second stage; each of its settings is asked for once."""
        self._channels = channels
        self._reranked = reranked
        self._known: dict[SearchSettings, Ranks] = {}

    def ranks(self, choice: Choice) -> Ranks:
        """The rank (Q,) of each question; infinity for what is not among the first ten."""
        if choice.rerank == NO_RERANK or self._reranked is None:
            return self._channels.ranks(choice.settings)
        if choice.settings not in self._known:
            self._known[choice.settings] = self._reranked(choice.settings)
        return self._known[choice.settings]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best choice and the passages `k` that go with it, and what they do on the questions held back.

    `before`, `after` and `gain` are MRR@10 on these; `recall_before` and `recall_after` the share of questions with an
    answer among the `k` passages. `tried` has the MRR@10 of each trial on the tuning half.
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

    def changes(self) -> dict[str, dict[str, Any]]:
        """The keys of the configuration that differ, by section."""
        old, new = self.before_choice.sections(), self.choice.sections()
        old["retrieval"]["k"], new["retrieval"]["k"] = self.before_k, self.k
        changed = {
            section: {key: value for key, value in values.items() if value != old[section][key]}
            for section, values in new.items()
        }
        return {section: values for section, values in changed.items() if values}


def tune(
    searches: Mapping[int, Searches],
    questions: Sequence[Question],
    before: Choice,
    *,
    reranks: Sequence[str] = (NO_RERANK,),
    k: int,
    trials: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Tuned:
    """The best of `trials` choices. `searches` are those of the answerable `questions` by size of chunks, `reranks` the
    second stages to try.

    Raises: TooFewQuestionsError, ExtraMissingError.
    """
    tuning, held = halves(questions, seed)
    objective = Objective(searches, tuning)
    tried = _trials(objective, before, reranks, trials, seed, progress)
    choice = _least_changed(objective, before, max(tried, key=lambda pair: pair[1])[0])
    old, new = (searches[one.chunk_tokens].ranks(one)[held] for one in (before, choice))
    passages = _passages(searches[choice.chunk_tokens].ranks(choice)[tuning])
    if k > DEPTH or _found(new, passages).mean() < _found(old, k).mean():
        passages = k
    clusters = [questions[place].paragraph_id for place in held]

    def mean(values: FloatArray) -> Interval:
        return bootstrap_mean(values, seed=seed, clusters=clusters)

    return Tuned(
        before_choice=before,
        choice=choice,
        before_k=k,
        k=passages,
        tuned_on=len(tuning),
        held_back=len(held),
        before=mean(reciprocal(old)),
        after=mean(reciprocal(new)),
        gain=mean(reciprocal(new) - reciprocal(old)),
        recall_before=mean(_found(old, k)),
        recall_after=mean(_found(new, passages)),
        tried=tuple(tried),
    )


def halves(questions: Sequence[Question], seed: int) -> tuple[IndexArray, IndexArray]:
    """Places of the questions to tune on and of those held back; questions about one paragraph stay together.

    Raises: TooFewQuestionsError below twenty questions.
    """
    if len(questions) < _FEWEST_QUESTIONS:
        raise TooFewQuestionsError(len(questions), _FEWEST_QUESTIONS)
    sides: dict[str, bool] = {}
    for question in sampled(questions, None, seed):
        sides.setdefault(question.paragraph_id, len(sides) % 2 == 1)
    held = np.array([sides[question.paragraph_id] for question in questions], np.bool_)
    return np.flatnonzero(~held), np.flatnonzero(held)


def reciprocal(ranks: Ranks) -> FloatArray:
    """1 / rank (Q,), 0 for what is not found."""
    return 1.0 / ranks


@dataclass(frozen=True, slots=True)
class Objective:
    """MRR@10 of a choice on the questions to tune on."""

    searches: Mapping[int, Searches]
    questions: IndexArray

    def __call__(self, choice: Choice) -> float:
        return float(reciprocal(self.searches[choice.chunk_tokens].ranks(choice)[self.questions]).mean())


def optimiser() -> Any:
    """The module optuna. Raises: ExtraMissingError."""
    try:
        return cast(Any, import_module("optuna"))
    except ImportError as error:
        raise ExtraMissingError("fuente tune", "optuna", "tune") from error


def _trials(
    objective: Objective,
    before: Choice,
    reranks: Sequence[str],
    trials: int,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> list[tuple[Choice, float]]:
    """Each choice with its value, first what is configured now, which so wins a tie."""
    optuna = optimiser()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    tried = [(before, objective(before))]
    usual, sizes = SearchSettings(), list(objective.searches)
    study.enqueue_trial(
        {"fusion": usual.fusion, "dense_weight": usual.dense_weight, "candidates": usual.candidates},
        skip_if_exists=True,
    )
    for number in range(trials):
        if progress:
            progress(number, trials)
        trial = study.ask()
        choice = _suggested(trial, before, sizes, reranks)
        tried.append((choice, objective(choice)))
        study.tell(trial, tried[-1][1])
    return tried


def _suggested(trial: Any, before: Choice, sizes: Sequence[int], reranks: Sequence[str]) -> Choice:
    size = trial.suggest_categorical("chunk_tokens", sizes) if len(sizes) > 1 else sizes[0]
    rerank = trial.suggest_categorical("rerank", reranks) if len(reranks) > 1 else reranks[0]
    if rerank != NO_RERANK:
        # It orders all of the first ten anew, so how the channels are combined no longer matters.
        usual = SearchSettings()
        settings = replace(
            usual,
            candidates=max(usual.candidates, before.settings.candidates),
            rerank_candidates=trial.suggest_categorical("rerank_candidates", _RERANK_CANDIDATES),
        )
        return Choice(settings, size, rerank)
    fusion = trial.suggest_categorical("fusion", ["mix", "rrf"])
    # Two decimals say all that a set of some hundred questions can tell.
    weight = trial.suggest_float("dense_weight", 0.0, 1.0, step=0.01) if fusion == "mix" else 0.7
    candidates = trial.suggest_int("candidates", DEPTH, MOST_CANDIDATES, log=True)
    settings = SearchSettings("fused", fusion, round(weight, 2), candidates, before.settings.rerank_candidates)
    return Choice(settings, size)


def _least_changed(objective: Objective, before: Choice, best: Choice) -> Choice:
    """The choice with every key put back whose change gains nothing on the tuning half."""
    value = objective(best)
    names = ("rerank_candidates", "candidates", "dense_weight", "fusion", "channel")
    # With a second stage each of these is a search of its own, so only what cannot matter there is put back.
    for name in names if best.rerank == NO_RERANK else ("dense_weight", "fusion"):
        back = replace(best, settings=replace(best.settings, **{name: getattr(before.settings, name)}))
        if objective(back) >= value:
            best = back
    back = replace(best, chunk_tokens=before.chunk_tokens)
    return back if objective(back) >= value else best


def _passages(ranks: Ranks) -> int:
    """The fewest passages that find about as much as ten do."""
    wanted = _found(ranks, DEPTH).mean() - _RECALL_TO_SPARE
    return next(k for k in range(_FEWEST_PASSAGES, DEPTH + 1) if _found(ranks, k).mean() >= wanted)


def _found(ranks: Ranks, k: int) -> FloatArray:
    found: NDArray[np.float64] = (ranks <= k).astype(np.float64)
    return found
