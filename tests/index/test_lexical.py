"""BM25 against sums by hand."""

import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np
import pytest
from numpy.typing import NDArray

from index.lexical import LexicalIndex, LexicalShard

PASSAGES = [("gato gato perro", "es"), ("perro", "es"), ("barco barco barco barco", "es")]


def built(*shards: Sequence[tuple[str, str]]) -> LexicalIndex:
    languages = sorted({language for shard in shards for _, language in shard})
    return LexicalIndex([LexicalShard.build(shard) for shard in shards], languages)


def bm25(term_frequency: int, document_frequency: int, length: int, mean_length: float, size: int) -> float:
    """Lucene's form: no k1 + 1 in the numerator, and a logarithm that is never negative."""
    idf = math.log(1 + (size - document_frequency + 0.5) / (document_frequency + 0.5))
    return idf * term_frequency / (term_frequency + 1.2 * (1 - 0.75 + 0.75 * length / mean_length))


def test_scores_are_those_computed_by_hand() -> None:
    mean = (3 + 1 + 4) / 3
    index = built(PASSAGES)
    np.testing.assert_allclose(
        index.scores("¿gatos y perros?"),
        [bm25(2, 1, 3, mean, 3) + bm25(1, 2, 3, mean, 3), bm25(1, 2, 1, mean, 3), 0.0],
        rtol=1e-6,
    )
    np.testing.assert_allclose(index.scores("barcos"), [0.0, 0.0, bm25(4, 1, 4, mean, 3)], rtol=1e-6)


def test_a_word_asked_twice_counts_once() -> None:
    index = built(PASSAGES)
    np.testing.assert_array_equal(index.scores("gato gatos gato"), index.scores("gato"))


@pytest.mark.parametrize("question", ["", "elefante", "¿¡!?", "\uff9e"])
def test_a_question_without_known_words_scores_nothing(question: str) -> None:
    np.testing.assert_array_equal(built(PASSAGES).scores(question), np.zeros(3, np.float32))


def test_a_question_is_analysed_in_every_language_of_the_corpus() -> None:
    index = built([("the contracts were signed", "en"), ("as informações", "pt"), ("los gatos", "es")])
    assert index.languages == ("en", "es", "pt")
    assert index.scores("contract")[0] > 0
    assert index.scores("informação")[1] > 0
    assert index.scores("gato")[2] > 0


def test_stop_words_of_the_question_count_in_no_language() -> None:
    spanish = [("the casa de mi padre", "es"), ("la casa", "es"), ("un perro", "es")]
    for index in (built(spanish), built(spanish, [("a house", "en")])):
        asked = "what is in the casa and why"
        np.testing.assert_array_equal(index.scores(asked), index.scores("casa"))
        np.testing.assert_array_equal(index.coverage(asked, np.arange(3)), [1, 1, 0])


def test_save_and_load_score_alike(tmp_path: Path) -> None:
    shard = LexicalShard.build(PASSAGES)
    shard.save(tmp_path / "lexical")
    loaded = LexicalIndex([LexicalShard.load(tmp_path / "lexical")], ["es"])
    for question in ("gato", "perro barco", "elefante"):
        np.testing.assert_array_equal(loaded.scores(question), built(PASSAGES).scores(question))


def test_shards_score_as_one(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    words = np.array([f"palabra{number}" for number in range(40)])
    passages = [(" ".join(random.choice(words, random.integers(0, 30))), "es") for _ in range(60)]
    whole = built(passages)
    for cuts in ([20, 20], [1, 59], [0, 60]):
        parts = built(passages[: cuts[0]], passages[cuts[0] : sum(cuts)], passages[sum(cuts) :])
        for question in ("palabra1 palabra7 palabra30", "palabra2", "nada"):
            np.testing.assert_array_equal(parts.scores(question), whole.scores(question))


def test_a_shard_that_grows_out_of_an_older_one_is_as_if_made_anew() -> None:
    """Passages leave, move, return twice and come; those that stay are not analysed."""
    old = [("gato perro gato", "es"), ("barco", "es"), ("---", "es"), ("gato barco", "es"), ("perro", "es")]
    new = [("nuevo gato", "es"), old[3], old[2], ("barco", "es"), old[0]]
    places = np.array([-1, 3, 2, -1, 0])
    given = [passage if place < 0 else ("otra cosa", "es") for passage, place in zip(new, places, strict=True)]
    grown, fresh = LexicalShard.build(given, (LexicalShard.build(old), places)), LexicalShard.build(new)
    for name in LexicalShard.__slots__:
        np.testing.assert_array_equal(getattr(grown, name), getattr(fresh, name))
        assert getattr(grown, name).dtype == getattr(fresh, name).dtype
    nothing = LexicalShard.build([("gato", "es")], (LexicalShard.build([]), np.array([-1])))
    assert nothing.lengths.tolist() == [1]


def test_scores_are_those_of_bm25s() -> None:
    """The reference implementation of Lucene's BM25, fed with the same terms."""
    random = np.random.default_rng(1)
    words = np.array([f"palabra{number}" for number in range(200)])
    corpus = [[str(word) for word in random.choice(words, 50, p=_zipf(200))] for _ in range(300)]
    reference = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    reference.index(corpus, show_progress=False)
    index = built([(" ".join(passage), "xx") for passage in corpus])
    for question in (["palabra0", "palabra3"], ["palabra150"], ["palabra1", "palabra199", "palabra77"]):
        expected = reference.get_scores(question)
        np.testing.assert_allclose(index.scores(" ".join(question)), expected, rtol=1e-4, atol=1e-6)


def _zipf(size: int) -> NDArray[np.float64]:
    weights = 1 / np.arange(1, size + 1)
    return weights / weights.sum()


def test_passages_without_words_are_kept_and_never_found() -> None:
    index = built([("---", "es"), ("gato", "es"), ("", "es")])
    assert np.flatnonzero(index.scores("gato")).tolist() == [1]
    np.testing.assert_array_equal(built([("---", "es"), ("!", "es")]).scores("gato"), np.zeros(2, np.float32))
    assert built().scores("gato").shape == built([]).scores("gato").shape == (0,)


def test_files_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from index.lexical import LexicalShard;"
        "LexicalShard.build([(f'gato perro{n} barco{n % 7} mesa', 'es') for n in range(50)]).save(Path(sys.argv[1]))"
    )
    contents = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", program, str(folder)], check=True, env=environment)
        contents.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    assert contents[0] == contents[1]
    assert len(contents[0]) >= 4


def test_coverage_is_the_weighted_share_of_the_questions_terms() -> None:
    texts = ["gato negro gato gato", "perro negro", "gato blanco y perro", "barco"]
    index = built([(text, "es") for text in texts])
    rare, twice = (np.log1p((4 - n + 0.5) / (n + 0.5)) for n in (0, 2))
    found = index.coverage("¿gato, negro o elefante?", np.arange(4))
    total = 2 * twice + rare
    np.testing.assert_allclose(found, [2 * twice / total, twice / total, twice / total, 0], rtol=1e-6)
    np.testing.assert_array_equal(index.coverage("¿gato, negro o elefante?", np.array([3, 0])), found[[3, 0]])
    assert index.coverage("", np.arange(4)).tolist() == [0.0] * 4
    assert index.coverage("gato", np.zeros(0, np.int64)).shape == (0,)


def test_coverage_does_not_depend_on_the_shards() -> None:
    spanish = [("gatos negros", "es"), ("un perro", "es"), ("gato", "es")]
    passages = [*spanish, ("o gato preto", "pt"), ("black cats", "en")]
    whole, parts = built(passages), built(passages[:2], passages[2:3], passages[3:])
    for question in ("gatos negros", "black cats", "perro", "o gato"):
        np.testing.assert_array_equal(whole.coverage(question, np.arange(5)), parts.coverage(question, np.arange(5)))
    # Of the languages the one that covers most counts: "cats" is stemmed as the English passage was.
    assert whole.coverage("black cats", np.array([4])) == pytest.approx(1.0)
