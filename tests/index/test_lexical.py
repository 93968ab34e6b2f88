"""BM25 against sums by hand."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from index.lexical import LexicalIndex

PASSAGES = [("gato gato perro", "es"), ("perro", "es"), ("barco barco barco barco", "es")]


def bm25(term_frequency: int, document_frequency: int, length: int, mean_length: float, size: int) -> float:
    """Lucene's form: no k1 + 1 in the numerator, and a logarithm that is never negative."""
    idf = math.log(1 + (size - document_frequency + 0.5) / (document_frequency + 0.5))
    return idf * term_frequency / (term_frequency + 1.2 * (1 - 0.75 + 0.75 * length / mean_length))


def test_scores_are_those_computed_by_hand() -> None:
    mean = (3 + 1 + 4) / 3
    index = LexicalIndex.build(PASSAGES)
    np.testing.assert_allclose(
        index.scores("¿gatos y perros?"),
        [bm25(2, 1, 3, mean, 3) + bm25(1, 2, 3, mean, 3), bm25(1, 2, 1, mean, 3), 0.0],
        rtol=1e-6,
    )
    np.testing.assert_allclose(index.scores("barcos"), [0.0, 0.0, bm25(4, 1, 4, mean, 3)], rtol=1e-6)


def test_a_word_asked_twice_counts_once() -> None:
    index = LexicalIndex.build(PASSAGES)
    np.testing.assert_array_equal(index.scores("gato gatos gato"), index.scores("gato"))


@pytest.mark.parametrize("question", ["", "elefante", "¿¡!?", "\uff9e"])
def test_a_question_without_known_words_scores_nothing(question: str) -> None:
    np.testing.assert_array_equal(LexicalIndex.build(PASSAGES).scores(question), np.zeros(3, np.float32))


def test_a_question_is_analysed_in_every_language_of_the_corpus() -> None:
    index = LexicalIndex.build([("the contracts were signed", "en"), ("as informações", "pt"), ("los gatos", "es")])
    assert index.languages == ("en", "es", "pt")
    assert index.scores("contract")[0] > 0
    assert index.scores("informação")[1] > 0
    assert index.scores("gato")[2] > 0


def test_save_and_load_score_alike(tmp_path: Path) -> None:
    built = LexicalIndex.build(PASSAGES)
    built.save(tmp_path / "lexical")
    loaded = LexicalIndex.load(tmp_path / "lexical", built.languages)
    for question in ("gato", "perro barco", "elefante"):
        np.testing.assert_array_equal(loaded.scores(question), built.scores(question))


def test_passages_without_words_are_kept_and_never_found(tmp_path: Path) -> None:
    index = LexicalIndex.build([("---", "es"), ("gato", "es"), ("", "es")])
    assert np.flatnonzero(index.scores("gato")).tolist() == [1]
    blank = LexicalIndex.build([("---", "es"), ("!", "es")])
    blank.save(tmp_path / "lexical")
    for each in (blank, LexicalIndex.load(tmp_path / "lexical", blank.languages)):
        np.testing.assert_array_equal(each.scores("gato"), np.zeros(2, np.float32))


def test_files_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from index.lexical import LexicalIndex;"
        "LexicalIndex.build([(f'gato perro{n} barco{n % 7} mesa', 'es') for n in range(50)]).save(Path(sys.argv[1]))"
    )
    contents = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", program, str(folder)], check=True, env=environment)
        contents.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    assert contents[0] == contents[1]
    assert len(contents[0]) >= 4
