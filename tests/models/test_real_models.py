"""The packaged models as a person gets them. They need a cache in which they are prepared."""

import os
from pathlib import Path

import platformdirs
import pytest

from models.devices import plan_device
from models.loading import load_causal_lm, load_sentence_transformer
from models.prepare import is_prepared, resolve, verify

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def cache_dir() -> Path:
    return Path(os.environ.get("FUENTE_MODELS__CACHE") or platformdirs.user_cache_dir("fuente"))


def require(name: str, cache_dir: Path) -> None:
    if not is_prepared(name, cache_dir):
        pytest.skip(f"{name} is not prepared in {cache_dir}")


def test_e5_finds_the_passage_across_languages(cache_dir: Path) -> None:
    require("multilingual-e5-small", cache_dir)
    verify("multilingual-e5-small", cache_dir)
    model = load_sentence_transformer(resolve("multilingual-e5-small", cache_dir), plan_device("cpu", role="embedder"))
    queries = [
        "query: ¿Cuál es la capital de Francia?",
        "query: Como se faz uma omelete de batata?",
        "query: at what temperature does water boil?",
    ]
    passages = [
        "passage: París es la capital y la ciudad más poblada de Francia.",
        "passage: La tortilla se hace con huevos, patatas y cebolla, fritas en aceite.",
        "passage: El agua hierve a 100 grados Celsius al nivel del mar.",
    ]
    asked = model.encode(queries, show_progress_bar=False)  # (3, 384)
    given = model.encode(passages, show_progress_bar=False)  # (3, 384)
    similarity = asked @ given.T  # (3, 3)
    assert similarity.argmax(axis=1).tolist() == [0, 1, 2]
    # Measured once; a wrong weight, pooling or special token moves it by far more.
    assert similarity[0, 0] == pytest.approx(0.901, abs=0.005)


def test_e5_tokens_are_those_of_the_upstream_tokenizer(cache_dir: Path) -> None:
    require("multilingual-e5-small", cache_dir)
    model = load_sentence_transformer(resolve("multilingual-e5-small", cache_dir), plan_device("cpu", role="embedder"))
    assert model.tokenizer("query: hola mundo")["input_ids"] == [0, 41, 1294, 12, 739, 143, 3307, 2]
    assert model.max_seq_length == 512


@pytest.mark.parametrize(
    ("name", "question", "word"),
    [
        ("smollm2-135m-instruct", "What is the capital of France?", "Paris"),
        ("qwen2.5-coder-0.5b-instruct", "¿Cuál es la capital de España? Responde en una frase.", "Madrid"),
        ("qwen2.5-coder-1.5b-instruct", "¿Cuál es la capital de España? Responde en una frase.", "Madrid"),
    ],
)
def test_generators_answer_and_stop(cache_dir: Path, name: str, question: str, word: str) -> None:
    require(name, cache_dir)
    model, tokenizer = load_causal_lm(resolve(name, cache_dir), plan_device("cpu", role="generator"))
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    reply = model.generate(**prompt, max_new_tokens=40, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert word in tokenizer.decode(reply)
    assert reply[-1] in model.generation_config.eos_token_id
