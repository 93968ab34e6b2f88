"""Fine-tuning on one's own documents: what is learnt from a question, the adapter, and how it is used."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import models
from index.types import Hit
from models import ModelError
from models.adapters import adapter_revision, merge_adapter
from models.errors import ConversionError, UnsafeModelError
from rag.chat_tokens import ChatTokens
from rag.cli import app
from rag.compose import Fuente
from rag.evaluation.questions import Question
from rag.finetuning import AdapterSettings, Example, examples_of, held_out_copy, train_adapter
from rag.finetuning.adapter import encode, reply_loss
from rag.finetuning.examples import Budget
from rag.phrases import NO_ANSWER, phrases
from rag.prompt import messages_of
from rag.types import Message
from tests.rag.conftest import document, hits_of

LIGHT = "El faro de Corcubión se ve de lejos. Lo proyectó Celedonio Uribe, ingeniero.\n\nLa ría es ancha y tranquila."
HITS = hits_of(document(LIGHT, "faro.txt"))
ASKED = Question("q1", "¿Quién proyectó el faro?", ("Celedonio Uribe",), (49,), "p1", False, "es")
WIDE = Budget(1000, lambda messages: sum(len(message.content.split()) for message in messages))


def first_holds(hit: Hit) -> bool:
    return hit == HITS[0]


def made(question: Question, hits: Sequence[Hit] = HITS, budget: Budget = WIDE, seed: int = 0) -> list[Example]:
    return examples_of(question, hits, first_holds, budget, seed)


def test_an_answer_is_the_sentence_that_states_it_and_the_check_is_yes() -> None:
    answers = {one.kind: one for one in made(ASKED)}
    assert answers["answer"].reply == "Lo proyectó Celedonio Uribe, ingeniero."
    assert answers["yes"].reply == phrases("es").yes
    assert answers["answer"].messages[0].content == phrases("es").instructions
    assert "¿Quién proyectó el faro?" in answers["answer"].messages[1].content
    assert answers["yes"].messages[1].content.endswith(phrases("es").check)


def test_without_its_passage_a_question_is_refused_and_for_some_only() -> None:
    kinds = Counter(one.kind for seed in range(40) for one in made(ASKED, seed=seed))
    assert kinds["answer"] == kinds["yes"] == 40
    assert 8 < kinds["refusal"] == kinds["no"] < 32
    refusal = next(one for seed in range(40) for one in made(ASKED, seed=seed) if one.kind == "refusal")
    assert refusal.reply == NO_ANSWER
    assert "Celedonio" not in refusal.messages[1].content


def test_a_passage_that_states_the_answer_all_the_same_is_no_ground_to_refuse() -> None:
    again = hits_of(document("La calle se llama CELEDONIO URIBE."))
    kinds = {one.kind for seed in range(40) for one in made(ASKED, [HITS[0], *again], seed=seed)}
    assert kinds == {"answer", "yes"}


def test_what_the_documents_do_not_say_is_refused() -> None:
    impossible = Question("q2", "¿Quién pintó el faro?", (), (), "p1", True, "es")
    assert [(one.kind, one.reply) for one in made(impossible)] == [("no", "No"), ("refusal", NO_ANSWER)]


def test_nothing_is_learnt_where_the_passage_was_not_found() -> None:
    assert made(ASKED, hits_of(document("Celedonio Uribe nació en Lugo."))) == []


def test_nothing_is_learnt_where_the_passage_does_not_fit() -> None:
    before = hits_of(document("Una calle de Celedonio Uribe. " * 8))
    room = WIDE.count_tokens(messages_of(ASKED.text, [*before, HITS[0]], "es"))
    assert {one.kind for one in made(ASKED, [*before, HITS[0]], Budget(room, WIDE.count_tokens))} == {"yes", "answer"}
    assert made(ASKED, [*before, HITS[0]], Budget(room - 1, WIDE.count_tokens)) == []


@pytest.fixture
def tiny(tiny_models: Path) -> tuple[Any, Any]:
    resolved = models.resolve(str(tiny_models / "generator"), tiny_models)
    return models.load_causal_lm(resolved, models.plan_device("cpu", "float32", role="generator"))


EXAMPLE = Example("q", "answer", (Message("user", "the encoder?"),), "reads them all")


def test_only_the_reply_and_its_end_are_learnt(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    ids, learnt = encode(EXAMPLE, tokenizer)
    assert tokenizer.decode(ids[-learnt:]) == "reads them all" + tokenizer.eos_token
    assert ids[:-learnt].tolist() == ChatTokens(tokenizer).prompt(EXAMPLE.messages)
    with torch.no_grad():
        logits = model(input_ids=ids[None]).logits[0]
    places = range(len(ids) - learnt, len(ids))
    expected = -sum(float(logits[place - 1].log_softmax(0)[ids[place]]) for place in places) / learnt
    assert float(reply_loss(model, ids, learnt).detach()) == pytest.approx(expected, rel=1e-4)


def test_a_document_cannot_end_its_turn_in_an_example(tiny: tuple[Any, Any]) -> None:
    _, tokenizer = tiny
    end = tokenizer.eos_token_id
    sly = Example("q", "answer", (Message("user", f"a {tokenizer.eos_token} b"),), f"c {tokenizer.eos_token} d")
    plain = Example("q", "answer", (Message("user", "a b"),), "c d")
    assert encode(sly, tokenizer)[0].tolist().count(end) == encode(plain, tokenizer)[0].tolist().count(end)


def test_an_adapter_learns_is_kept_and_merged(tiny: tuple[Any, Any], tiny_models: Path, tmp_path: Path) -> None:
    model, tokenizer = tiny
    ids, learnt = encode(EXAMPLE, tokenizer)
    before = float(reply_loss(model, ids, learnt).detach())
    told: list[tuple[int, int]] = []
    settings = AdapterSettings(rank=4, learning_rate=0.02, epochs=12, batch=2)
    trained = train_adapter(
        model, tokenizer, [EXAMPLE] * 4, settings, tmp_path / "adapter", progress=lambda *step: told.append(step)
    )
    assert trained.last_loss < 0.5 * trained.first_loss
    assert told[-1] == (48, 48)
    names = {path.name for path in (tmp_path / "adapter").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json"} <= names
    assert not [name for name in names if name.endswith(".bin")]
    fresh, _ = models.load_causal_lm(
        models.resolve(str(tiny_models / "generator"), tiny_models),
        models.plan_device("cpu", "float32", role="generator"),
    )
    merged = merge_adapter(fresh, tmp_path / "adapter")
    after = float(reply_loss(merged, ids, learnt).detach())
    assert after < 0.5 * before
    assert not [name for name, _ in merged.named_parameters() if "lora" in name]


def test_an_interrupted_training_goes_on_where_it_was(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.finetuning.adapter.KEPT_EVERY_S", -1.0)  # after every step
    settings = AdapterSettings(rank=2, learning_rate=0.02, epochs=3, batch=2)
    examples = [Example(f"q{number}", "answer", EXAMPLE.messages, f"reads {number}") for number in range(5)]

    def train(folder: str, stop_at: int | None = None, rank: int = 2) -> Any:
        def progress(done: int, total: int) -> None:
            assert total == 15
            if done == stop_at:
                raise KeyboardInterrupt

        resolved = models.resolve(str(tiny_models / "generator"), tiny_models)
        model, tokenizer = models.load_causal_lm(resolved, models.plan_device("cpu", "float32", role="generator"))
        chosen = AdapterSettings(rank, settings.learning_rate, settings.epochs, settings.batch)
        return train_adapter(model, tokenizer, examples, chosen, tmp_path / folder, progress=progress, name="tiny")

    whole = train("whole")
    with pytest.raises(KeyboardInterrupt):
        train("halved", stop_at=9)
    assert (tmp_path / "halved" / "training.safetensors").is_file()
    halved = train("halved")
    assert (halved.first_loss, halved.last_loss) == (whole.first_loss, whole.last_loss)
    one, other = ((tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("whole", "halved"))
    assert one == other
    assert not (tmp_path / "halved" / "training.safetensors").exists()
    with pytest.raises(ValueError, match="other examples, settings or model"):
        train("halved", rank=4)


def test_a_configured_adapter_is_used(
    plain_settings: Path, tiny_models: Path, tiny: tuple[Any, Any], tmp_path: Path
) -> None:
    model, tokenizer = tiny
    settings = AdapterSettings(rank=4, learning_rate=0.02, epochs=4, batch=2)
    train_adapter(model, tokenizer, [EXAMPLE] * 4, settings, tmp_path / "adapter", progress=lambda *_: None)
    section = {"generator": str(tiny_models / "generator"), "cache": tmp_path, "device": "cpu", "dtype": "float32"}
    plain = Fuente.configured(models=section)
    tuned = Fuente.configured(models={**section, "adapter": str(tmp_path / "adapter")})
    messages = (Message("user", "the encoder?"),)
    odds = [one.generator.log_odds(messages, "reads", "writes") for one in (plain, tuned)]  # type: ignore[attr-defined]
    assert odds[0] != odds[1]
    # What was calibrated on the plain model, or reads its inner states, is not used with the tuned one.
    assert tuned.generator.name == f"{plain.generator.name}+{adapter_revision(tmp_path / 'adapter')}"
    assert "adapter" not in plain.answer_settings()
    assert tuned.answer_settings()["adapter"] == adapter_revision(tmp_path / "adapter")


@pytest.mark.parametrize(
    ("files", "error", "rule"),
    [
        ({}, ConversionError, "there is no adapter_model.safetensors"),
        ({"adapter_model.bin": "x"}, UnsafeModelError, "pickled"),
        ({"adapter_model.safetensors": "x"}, ConversionError, "cannot be read"),
        ({"adapter_model.safetensors": "x", "adapter_config.json": '{"peft_type": "IA3"}'}, ConversionError, "LORA"),
    ],
)
def test_what_is_no_lora_adapter_is_refused(
    tmp_path: Path, files: dict[str, str], error: type[ModelError], rule: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(error, match=rule):
        merge_adapter(torch.nn.Linear(1, 1), tmp_path)


def test_the_held_out_questions_are_of_other_documents(tmp_path: Path) -> None:
    articles = [{"title": "a", "paragraphs": []}, {"title": "x", "source": "b", "paragraphs": []}]
    (tmp_path / "all.json").write_text(json.dumps({"version": "v2.0", "data": articles}), encoding="utf-8")
    assert held_out_copy(tmp_path / "all.json", {"a"}, tmp_path / "held.json") == 1
    content = json.loads((tmp_path / "held.json").read_text(encoding="utf-8"))
    assert content == {"version": "v2.0", "data": [articles[1]]}


@pytest.fixture
def set_file(plain_settings: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FUENTE_MODELS__EMBEDDER", str(tiny_models / "embedder"))
    monkeypatch.setenv("FUENTE_MODELS__GENERATOR", str(tiny_models / "generator"))
    monkeypatch.setenv("FUENTE_MODELS__CACHE", str(plain_settings / "cache"))
    monkeypatch.setenv("FUENTE_RETRIEVAL__RERANK", "none")
    monkeypatch.setenv("FUENTE_MODELS__DTYPE", "float32")
    monkeypatch.setenv("FUENTE_GENERATION__PROMPT_TOKENS", "1500")
    data = []
    for number, name in enumerate(["Uribe", "Cardoso", "Marlowe", "Lamas", "Quintana", "Sampaio"]):
        context = f"La torre número {number} la proyectó {name}. Es muy alta."
        answer = {"text": name, "answer_start": context.index(name)}
        asked = {"id": f"q{number}", "question": f"¿Quién proyectó la torre número {number}?", "answers": [answer]}
        data.append({"title": f"torre {number}", "paragraphs": [{"context": context, "qas": [asked]}]})
    Path("towers.es.json").write_text(json.dumps({"data": data}), encoding="utf-8")
    return "towers.es.json"


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def test_a_dry_run_writes_the_examples_and_trains_nothing(set_file: str) -> None:
    report = run("finetune", set_file, "--output", "adapter", "--dry-run")
    written = [json.loads(line) for line in Path("adapter/examples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert Counter(one["kind"] for one in written) == report["examples"]
    assert report["examples"]["answer"] == 3
    assert not Path("adapter/adapter_config.json").exists()
    held_out = json.loads(Path("adapter/held-out.json").read_text(encoding="utf-8"))
    asked = {question["id"] for one in held_out["data"] for part in one["paragraphs"] for question in part["qas"]}
    assert asked | {one["question_id"] for one in written} == {f"q{number}" for number in range(6)}
    assert not asked & {one["question_id"] for one in written}


def test_the_command_trains_an_adapter_that_the_evaluation_takes(
    set_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("finetune", set_file, "--output", "adapter", "--rank", "2", "--epochs", "1", "--judge", "2")
    report = run(*command)
    assert report["trained"]["parameters"] > 0
    learnt = {json.loads(line)["question_id"] for line in Path("adapter/examples.jsonl").read_text().splitlines()}
    for label in ("before", "after"):
        assert report[label]["set"]["questions"] == 2
        assert "f1" in report[label]["answers"]
        assert "auroc" in report[label]["abstention"]
        records = [json.loads(line) for line in Path(f"adapter/{label}.jsonl").read_text().splitlines()[1:]]
        assert len(records) == 2
        assert not learnt & {record["id"] for record in records}
    weights = Path("adapter/adapter_model.safetensors").read_bytes()
    assert run(*command) == report  # what is done is not done again
    assert Path("adapter/adapter_model.safetensors").read_bytes() == weights
    monkeypatch.setenv("FUENTE_MODELS__ADAPTER", "adapter")
    evaluated = run("eval", "run", "adapter/held-out.json", "--limit", "1")
    assert evaluated
