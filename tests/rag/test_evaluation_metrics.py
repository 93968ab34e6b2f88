"""Metrics against values computed by hand, and their properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.evaluation import (
    RiskCoveragePoint,
    abstention_counts,
    auroc,
    bootstrap_mean,
    bootstrap_statistic,
    contains,
    exact_match,
    f1,
    normalised,
    retrieval_scores,
    risk_coverage,
    threshold_for_refusal_rate,
)

WORDS = st.lists(st.sampled_from(["río", "the", "la", "os", "1.000", "U.S.", "¿qué?", "casa", "—"]), max_size=8).map(
    " ".join
)
UNIT = st.floats(0, 1, allow_nan=False)


# Retrieval


def test_retrieval_scores_by_hand() -> None:
    rankings = [["b", "a", "c"], ["a"], ["x"] * 12, ["n1", "n2", "n3", "y", "n4", "x"]]
    scores = retrieval_scores(rankings, [["a"], ["a"], ["a"], ["x", "y", "z"]])
    assert scores["recall@1"].tolist() == [0, 1, 0, 0]
    assert scores["recall@3"].tolist() == [1, 1, 0, 0]
    assert scores["recall@5"] == pytest.approx([1, 1, 0, 1 / 3])
    assert scores["recall@10"] == pytest.approx([1, 1, 0, 2 / 3])
    assert scores["mrr@10"] == pytest.approx([1 / 2, 1, 0, 1 / 4])
    # Gains at ranks 4 and 6, ideally at ranks 1, 2 and 3.
    several = (1 / math.log2(5) + 1 / math.log2(7)) / (1 + 1 / math.log2(3) + 1 / 2)
    assert scores["ndcg@10"] == pytest.approx([1 / math.log2(3), 1, 0, several])


def test_the_eleventh_rank_does_not_count_and_repeated_ids_take_one_rank() -> None:
    others = [f"n{n}" for n in range(10)]
    late = retrieval_scores([[*others, "a"]], [["a"]])
    assert all(values.tolist() == [0] for values in late.values())
    chunks = retrieval_scores([["b", "b", "b", "a"]], [["a"]])
    assert chunks["mrr@10"].tolist() == [1 / 2]


def test_a_question_without_relevant_paragraph_is_refused() -> None:
    with pytest.raises(ValueError, match="no relevant paragraph"):
        retrieval_scores([["a"]], [[]])
    with pytest.raises(ValueError, match="shorter"):
        retrieval_scores([["a"]], [])


@given(st.permutations(list("abcdefghijklmno")), st.sets(st.sampled_from("abcdefghijklmno"), min_size=1))
def test_retrieval_scores_are_bounded_ordered_and_best_when_the_relevant_come_first(
    ranking: list[str], relevant: set[str]
) -> None:
    scores = {name: float(values[0]) for name, values in retrieval_scores([ranking], [sorted(relevant)]).items()}
    assert all(0 <= value <= 1 for value in scores.values())
    assert scores["recall@1"] <= scores["recall@3"] <= scores["recall@5"] <= scores["recall@10"]
    best = retrieval_scores([sorted(ranking, key=lambda key: key not in relevant)], [sorted(relevant)])
    assert best["ndcg@10"][0] == pytest.approx(1)
    assert all(value <= float(best[name][0]) + 1e-12 for name, value in scores.items())


# Answers


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The  Eiffel Tower!", "en", "eiffel tower"),
        ("«La» Torre Eiffel", "es", "torre eiffel"),
        ("Os Lusíadas, de Camões", "pt", "lusíadas de camões"),
        ("¿Qué?", "es", "qué"),
        ("U.S. dollars ($5)", "en", "us dollars 5"),
        ("\ufeffLos Panthers", "es", "panthers"),
        ("theatre another", "en", "theatre another"),
        ("la casa", "en", "la casa"),
        ("la casa, the house, o lar", None, "casa house lar"),
        ("Peru\u0301", "es", "perú"),
        ("a\u00a0b\tc\n", "es", "a b c"),
        ("LA", None, "la"),
        ("—", None, ""),
        ("", None, ""),
    ],
)
def test_normalisation(text: str, language: str | None, expected: str) -> None:
    assert normalised(text, language) == expected


def test_accents_are_kept() -> None:
    assert exact_match("papa", ["papá"]) == 0
    assert exact_match("Papá", ["papá"]) == 1


def test_exact_match_and_f1_by_hand() -> None:
    assert exact_match("the Denver Broncos.", ["Panthers", "Denver Broncos"], "en") == 1
    assert f1("the Denver Broncos", ["Denver"], "en") == pytest.approx(2 / 3)
    assert f1("Denver Broncos", ["Carolina", "Denver Broncos team"]) == pytest.approx(4 / 5)
    # Repeated tokens count as often as both have them: shared 2, lengths 3 and 2.
    assert f1("ja ja ja", ["ja ja"]) == pytest.approx(4 / 5)
    assert f1("Quito", ["Lima"]) == 0


def test_an_impossible_question_wants_no_answer() -> None:
    for score in (exact_match, f1, contains):
        assert score("", []) == 1
        assert score("Lima", []) == 0
        assert score("", ["Lima"]) == 0


@given(WORDS, WORDS)
def test_f1_is_symmetric_bounded_and_1_for_equal_texts(one: str, other: str) -> None:
    value = f1(one, [other])
    assert value == f1(other, [one])
    assert exact_match(one, [other]) <= value <= 1
    assert f1(one, [one]) == exact_match(one, [one]) == 1


@given(WORDS, st.lists(WORDS, min_size=1, max_size=4))
def test_several_golds_score_as_the_best_of_them(prediction: str, golds: list[str]) -> None:
    for score in (exact_match, f1, contains):
        assert score(prediction, golds) == max(score(prediction, [gold]) for gold in golds)


@given(WORDS, WORDS, WORDS)
def test_a_text_contains_what_was_put_into_it(before: str, gold: str, after: str) -> None:
    assert contains(f"{before} {gold} {after}", [gold]) == float(normalised(gold) != "")


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ("The capital is the city of Lima.", "Lima", 1),
        ("La capital es Lima, en Perú.", "lima en perú", 1),
        ("Limasol está en Chipre", "Lima", 0),
        ("Perú, capital Lima", "Lima Perú", 0),
        ("Houston/Dallas", "Houston", 1),
        ("in the US today", "U.S.", 1),
        ("It costs 1,000 euros", "1.000 euros", 1),
        ("cuesta 1000 euros", "1.000 euros", 1),
        ("unos 12.500.000 km", "12,500,000", 1),
        ("unos 1\u00a0000 km", "1000 km", 1),
        ("exactly 1,234.5 m", "1.234,5 m", 1),
        ("3,5 millones", "3.5", 1),
        ("35 millones", "3.5", 0),
        ("nació en 1990.", "1990", 1),
        ("nació en 1990.", "199", 0),
        ("terminó 24–10", "24-10", 1),
        ("she got grade A", "A", 1),
        ("she got grade B", "A", 0),
        ("nada", ".", 0),
    ],
)
def test_containment(answer: str, gold: str, expected: float) -> None:
    assert contains(answer, [gold]) == expected


# Abstention


def flags(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text], dtype=np.bool_)


def test_abstention_counts_and_scores_by_hand() -> None:
    counts = abstention_counts(abstained=flags("1110000000"), answerable=flags("0011111100"))
    assert (counts.abstained_unanswerable, counts.abstained_answerable) == (2, 1)
    assert (counts.answered_unanswerable, counts.answered_answerable) == (2, 5)
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == pytest.approx(2 / 4)
    assert counts.f1 == pytest.approx(4 / 7)
    assert counts.false_refusal_rate == pytest.approx(1 / 6)


def test_abstention_scores_without_denominator_are_nan() -> None:
    counts = abstention_counts(abstained=flags("00"), answerable=flags("11"))
    assert math.isnan(counts.precision)
    assert math.isnan(counts.recall)
    assert math.isnan(counts.f1)
    assert counts.false_refusal_rate == 0


def test_auroc_of_perfect_inverted_constant_and_tied_scores() -> None:
    confidences = np.array([0.9, 0.8, 0.3, 0.1])
    assert auroc(confidences, flags("1100")) == 1
    assert auroc(confidences, flags("0011")) == 0
    assert auroc(np.full(4, 0.5), flags("1010")) == 0.5
    # Pairs won: .8 over .5 and .2, .5 over .2; tied: .5 and .5.
    assert auroc(np.array([0.8, 0.5, 0.5, 0.2]), flags("1100")) == pytest.approx(3.5 / 4)
    assert math.isnan(auroc(confidences, flags("1111")))
    assert math.isnan(auroc(confidences, flags("0000")))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auroc_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    positives = [score for score, positive in pairs if positive]
    negatives = [score for score, positive in pairs if not positive]
    scores = np.array([score for score, _ in pairs], dtype=np.float64)
    value = auroc(scores, np.array([positive for _, positive in pairs], dtype=np.bool_))
    if not positives or not negatives:
        assert math.isnan(value)
        return
    won = sum((p > n) + (p == n) / 2 for p in positives for n in negatives)
    assert value == pytest.approx(won / (len(positives) * len(negatives)))


def test_risk_and_coverage_by_hand() -> None:
    confidences = np.array([0.2, 0.9, 0.5, 0.5])
    losses = np.array([1.0, 0.0, 1.0, 0.0])
    expected = [(0.9, 0.25, 0), (0.5, 0.75, 1 / 3), (0.2, 1, 0.5)]
    for point, values in zip(risk_coverage(confidences, losses), expected, strict=True):
        assert (point.threshold, point.coverage, point.risk) == pytest.approx(values)
    assert risk_coverage(confidences[:1], losses[:1], total=4) == [RiskCoveragePoint(0.2, 0.25, 1.0)]
    assert risk_coverage(np.array([]), np.array([])) == []


@given(st.lists(st.tuples(st.integers(0, 4), UNIT), min_size=1, max_size=30))
def test_full_coverage_risks_the_mean_loss(pairs: list[tuple[int, float]]) -> None:
    confidences = np.array([confidence for confidence, _ in pairs], dtype=np.float64)
    losses = np.array([loss for _, loss in pairs])
    points = risk_coverage(confidences, losses)
    assert points[-1].coverage == 1
    for point in points:
        answered = confidences >= point.threshold
        assert point.coverage == pytest.approx(answered.mean())
        assert point.risk == pytest.approx(losses[answered].mean())


@given(st.lists(st.integers(0, 9), min_size=1, max_size=50), UNIT)
def test_the_threshold_refuses_at_most_the_rate_and_the_next_one_more(scores: list[int], rate: float) -> None:
    confidences = np.array(scores, dtype=np.float64)
    threshold = threshold_for_refusal_rate(confidences, rate)
    assert (confidences < threshold).mean() <= rate + 1e-9
    if math.isfinite(threshold):
        assert (confidences <= threshold).mean() > rate - 1e-9


def test_the_threshold_by_hand() -> None:
    confidences = np.arange(100) / 100
    assert threshold_for_refusal_rate(confidences, 0.29) == 0.29
    assert threshold_for_refusal_rate(confidences, 0) == 0
    assert threshold_for_refusal_rate(confidences, 1) == math.inf
    for rate, values in ((1.1, confidences), (0.5, confidences[:0])):
        with pytest.raises(ValueError, match="give a rate"):
            threshold_for_refusal_rate(values, rate)


# Bootstrap


@given(UNIT, st.integers(1, 30), st.integers(0, 99))
def test_the_interval_of_constant_data_is_the_constant(value: float, size: int, seed: int) -> None:
    interval = bootstrap_mean(np.full(size, value), seed=seed, resamples=50)
    assert (interval.value, interval.low, interval.high) == pytest.approx((value, value, value))


@given(st.lists(UNIT, min_size=1, max_size=30), st.integers(0, 99))
def test_the_interval_lies_within_the_data_and_repeats_for_its_seed(values: list[float], seed: int) -> None:
    data = np.array(values)
    interval = bootstrap_mean(data, seed=seed, resamples=50)
    assert data.min() - 1e-12 <= interval.low <= interval.high <= data.max() + 1e-12
    assert interval.value == pytest.approx(data.mean())
    assert interval == bootstrap_mean(data, seed=seed, resamples=50)


@given(st.lists(st.tuples(UNIT, st.sampled_from("abcd")), min_size=1, max_size=30))
def test_the_mean_as_a_statistic_gives_the_same_interval(pairs: list[tuple[float, str]]) -> None:
    data = np.array([value for value, _ in pairs])
    clusters = [cluster for _, cluster in pairs]
    fast = bootstrap_mean(data, seed=1, clusters=clusters, resamples=50)
    slow = bootstrap_statistic(
        lambda draw: float(data[draw].mean()), len(data), seed=1, clusters=clusters, resamples=50
    )
    assert (slow.value, slow.low, slow.high) == pytest.approx((fast.value, fast.low, fast.high))


def test_the_interval_has_the_width_of_theory_and_clusters_widen_it() -> None:
    data = np.random.default_rng(0).integers(0, 2, 100).astype(np.float64).repeat(4)
    alone = bootstrap_mean(data, seed=0)
    together = bootstrap_mean(data, seed=0, clusters=[str(n // 4) for n in range(400)])
    # 2 x 1.96 standard errors of a fair coin: 400 throws alone, 100 throws when four always agree.
    assert alone.high - alone.low == pytest.approx(0.098, rel=0.15)
    assert together.high - together.low == pytest.approx(0.196, rel=0.15)


def test_a_higher_level_is_wider_and_draws_where_it_is_undefined_do_not_count() -> None:
    data = np.arange(20, dtype=np.float64)
    narrow, wide = (bootstrap_mean(data, seed=0, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    rare = bootstrap_statistic(lambda draw: 1.0 if 0 in draw else math.nan, 5, seed=0)
    assert (rare.value, rare.low, rare.high) == (1, 1, 1)
    never = bootstrap_statistic(lambda _: math.nan, 5, seed=0)
    assert math.isnan(never.low)
    assert math.isnan(never.high)


def test_no_data_has_no_interval_and_clusters_must_fit() -> None:
    for interval in (bootstrap_mean(np.array([]), seed=0), bootstrap_statistic(lambda _: 1.0, 0, seed=0)):
        assert all(math.isnan(end) for end in (interval.value, interval.low, interval.high))
    with pytest.raises(ValueError, match="give one for each"):
        bootstrap_mean(np.ones(3), seed=0, clusters=["a"])
