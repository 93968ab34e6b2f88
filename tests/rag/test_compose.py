"""One configuration becomes one application, and nothing is loaded before it is needed."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import models
from index.errors import IndexDamagedError, IndexMismatchError, IndexNotFoundError
from index.settings import SearchSettings
from ingest.errors import UnreadableFileError
from models import ModelError
from models.planning import memory_of
from rag.compose import Fuente
from rag.errors import ConfigurationError
from rag.server_generator import ServerGenerator
from rag.sources import named_path
from rag.transformers_generator import TransformersGenerator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fuente(plain_settings: Path, tiny_models: Path) -> Fuente:
    return configured(tiny_models)


def configured(tiny_models: Path, **flags: object) -> Fuente:
    names = {"embedder": str(tiny_models / "embedder"), "generator": str(tiny_models / "generator"), "device": "cpu"}
    return Fuente.configured(models=names, **flags)


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_parts_are_built_once(fuente: Fuente) -> None:
    write("docs/a.txt", "Las redes aprenden pesos.")
    fuente.ingest(["docs"])
    assert fuente.embedder is fuente.embedder
    assert fuente.answerer.retriever is fuente.retriever
    assert fuente.retriever.index is fuente.index
    assert isinstance(fuente.generator, TransformersGenerator)
    assert fuente.answerer.generator is fuente.generator


def test_the_configuration_reaches_its_objects(plain_settings: Path, tiny_models: Path) -> None:
    fuente = configured(
        tiny_models,
        language="pt",
        retrieval={"k": 3, "channel": "lexical", "candidates": 9},
        generation={"temperature": 0.7, "top_p": 0.8, "max_tokens": 11, "seed": 4, "prompt_tokens": 500,
                    "caution": 0.1},
    )  # fmt: skip
    write("a.txt", "Las redes aprenden pesos.")
    fuente.ingest(["a.txt"])
    answerer = fuente.answerer
    sampling = answerer.sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.seed) == (0.7, 0.8, 11, 4)
    assert (answerer.prompt_tokens, answerer.options.caution, answerer.language) == (500, 0.1, "pt")
    assert fuente.retriever.k == 3
    assert fuente.index.settings == SearchSettings("lexical", "mix", 0.7, 9)
    assert fuente.identity().embedder == str(tiny_models / "embedder")


def test_a_server_takes_the_place_of_the_local_model(plain_settings: Path) -> None:
    fuente = Fuente.configured(server={"url": "http://127.0.0.1:1/v1", "model": "m", "context_tokens": 1000})
    assert isinstance(fuente.generator, ServerGenerator)
    assert (fuente.generator.name, fuente.generator.context_tokens) == ("m", 1000)
    assert fuente.required_models() == ["multilingual-e5-small"]


def test_only_models_of_the_catalogue_are_prepared(fuente: Fuente) -> None:
    assert fuente.required_models() == []
    assert Fuente.configured().required_models() == ["multilingual-e5-small", "qwen2.5-coder-1.5b-instruct"]


def test_settings_of_answers_hold_no_secret(plain_settings: Path) -> None:
    server = {"url": "http://127.0.0.1:1/v1", "model": "m", "api_key": "sk-secret"}
    settings = Fuente.configured(server=server).answer_settings()
    assert "sk-secret" not in str(settings)
    assert settings != Fuente.configured(server=server, generation={"seed": 5}).answer_settings()


def test_weights_are_quantised_only_when_asked(fuente: Fuente, tiny_models: Path, tmp_path: Path) -> None:
    from models.quantised import QuantisedLinear

    def layers(fuente: Fuente) -> int:
        generator = fuente.generator
        assert isinstance(generator, TransformersGenerator)
        return sum(isinstance(part, QuantisedLinear) for part in generator._model.modules())

    names = {**fuente.config.models.model_dump(), "cache": tmp_path / "cache", "quantisation": "auto"}
    asked = Fuente.configured(models=names)
    told: list[object] = []
    asked.load_generator(told.append)
    assert told
    assert layers(asked) == 10  # five of each of two layers; keys, values and output have no multiple of 32 rows
    assert layers(fuente) == 0
    assert asked.answer_settings() != fuente.answer_settings()


def test_it_is_told_why_weights_are_not_quantised(
    fuente: Fuente, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("models.quantised.reason_against", lambda _: "0.1 GB of memory are free")
    names = {**fuente.config.models.model_dump(), "cache": tmp_path / "cache", "quantisation": "auto"}
    assert isinstance(Fuente.configured(models=names).generator, TransformersGenerator)
    assert "used as they are: 0.1 GB of memory are free" in caplog.text
    assert not (tmp_path / "cache").exists()


class TestMemory:
    """What is free is a fake; the models are tiny, so that all but their runtime is next to nothing."""

    def started(self, tiny_models: Path, monkeypatch: pytest.MonkeyPatch, free: int | None) -> Fuente:
        monkeypatch.setattr("models.rooms", lambda *_: [models.Room("cpu", free, ("float32", "bfloat16"))])
        write("a.txt", "Las redes aprenden pesos.")
        fuente = configured(tiny_models)
        fuente.ingest(["a.txt"])
        return fuente

    def needed(self, fuente: Fuente, dtype: str, tokens: int) -> int:
        shapes = [models.shape_of(Path(name), name) for name in
                  (fuente.config.models.generator, fuente.config.models.embedder)]  # fmt: skip
        return memory_of(*shapes, dtype, tokens).total

    def dtype(self, fuente: Fuente) -> str:
        generator = fuente.generator
        assert isinstance(generator, TransformersGenerator)
        return str(generator._model.dtype)

    def test_with_room_nothing_is_said(
        self, plain_settings: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        fuente = self.started(tiny_models, monkeypatch, 64 * 2**30)
        assert fuente.answerer.prompt_tokens == 2048 - fuente.config.generation.max_tokens  # all that the model takes
        assert self.dtype(fuente) == "torch.float32"
        assert "memory" not in caplog.text

    def test_numbers_of_less_memory_are_used_where_the_others_do_not_fit(
        self, plain_settings: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        fuente = self.started(tiny_models, monkeypatch, None)
        free = self.needed(fuente, "bfloat16", 2048)
        fuente = self.started(tiny_models, monkeypatch, free)
        assert self.dtype(fuente) == "torch.bfloat16"
        assert "float32 does not fit" in caplog.text

    def test_several_answers_at_a_time_share_what_one_would_have(
        self, plain_settings: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("FUENTE_MODELS__TOGETHER", "4")
        monkeypatch.setenv("FUENTE_GENERATION__MAX_TOKENS", "40")
        fuente = self.started(tiny_models, monkeypatch, None)
        fuente = self.started(tiny_models, monkeypatch, self.needed(fuente, "bfloat16", 2048))
        assert fuente.answerer.prompt_tokens < 2048 - fuente.config.generation.max_tokens
        generator = fuente.generator
        assert isinstance(generator, TransformersGenerator)
        assert generator._batched is not None
        assert generator._batched._most == 4
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(fuente.answerer.answer, ["¿Qué aprenden las redes?"] * 4))
        assert len({answer.text for answer in answers}) == 1

    def test_the_prompt_is_shortened_where_the_context_does_not_fit(
        self, plain_settings: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        fuente = self.started(tiny_models, monkeypatch, None)
        fuente = self.started(tiny_models, monkeypatch, self.needed(fuente, "bfloat16", 1024))
        assert fuente.answerer.prompt_tokens == 1024 - fuente.config.generation.max_tokens
        assert "the context is cut from 2048 tokens" in caplog.text

    def test_where_nothing_fits_it_is_said_and_tried(
        self, plain_settings: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        fuente = self.started(tiny_models, monkeypatch, 1)
        assert self.dtype(fuente) == "torch.bfloat16"
        assert "choose a smaller generator, or a server" in caplog.text


def test_an_index_follows_its_files(fuente: Fuente) -> None:
    kept, changed, gone = (write(f"docs/{name}.txt", f"El archivo {name} habla de redes.") for name in "abc")
    assert len(fuente.ingest(["docs"]).added) == 3
    write("docs/b.txt", "Ahora habla de otra cosa: la temperatura.")
    gone.unlink()
    write("docs/d.md", "# Nuevo\n\nUn archivo nuevo.")
    report = fuente.ingest(["docs"])
    assert [Path(source).name for source in report.added] == ["d.md"]
    assert report.changed == [str(changed.absolute())]
    assert report.unchanged == [str(kept.absolute())]
    assert report.removed == [str(gone.absolute())]
    assert report.embedded == 2


def test_one_file_has_one_name(fuente: Fuente) -> None:
    path = write("docs/a.txt", "Las redes aprenden pesos.")
    fuente.ingest(["docs"])
    for spelling in ("docs/../docs/a.txt", "./docs//a.txt", path.absolute()):
        report = fuente.ingest([spelling])
        assert report.unchanged == [str(path.absolute())]
    assert [info.source for info in fuente.index.sources()] == [str(path.absolute())]
    assert named_path("~/a.txt") == Path.home() / "a.txt"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_is_cited_by_its_own_name(fuente: Fuente) -> None:
    write("blob", "Las redes aprenden pesos.")
    Path("latest.txt").symlink_to("blob")
    assert fuente.ingest(["latest.txt"]).added == [str(Path("latest.txt").absolute())]


def test_an_index_among_the_documents_does_not_read_itself(fuente: Fuente) -> None:
    write("a.txt", "Las redes aprenden pesos.")
    uploaded = write("fuente-index/uploads/b.json", '{"redes": "compiten"}')
    assert sorted(fuente.ingest(["."]).added) == [str(Path("a.txt").absolute()), str(uploaded.absolute())]
    report = fuente.ingest(["."])
    assert (report.added, report.removed, report.skipped, report.generation) == ([], [], [], 1)


def test_a_missing_path_is_told_before_any_model_is_loaded(plain_settings: Path) -> None:
    fuente = Fuente.configured(models={"embedder": "no such model"})
    with pytest.raises(UnreadableFileError, match=r"missing\.txt: does not exist"):
        fuente.ingest(["missing.txt"])


def test_another_chunk_size_needs_a_reindex(fuente: Fuente, tiny_models: Path) -> None:
    write("a.txt", "Las redes aprenden pesos. " * 40)
    before = fuente.ingest(["a.txt"]).chunks
    smaller = configured(tiny_models, ingest={"chunk_tokens": 64, "min_chunk_tokens": 8})
    with pytest.raises(IndexMismatchError, match="chunk_tokens"):
        smaller.ingest(["a.txt"])
    assert smaller.reindex().chunks > before
    assert smaller.ingest(["a.txt"]).unchanged == [str(Path("a.txt").absolute())]


def test_without_an_index_it_says_so(fuente: Fuente) -> None:
    with pytest.raises(IndexNotFoundError, match="fuente ingest"):
        _ = fuente.retriever


def test_a_wrong_setting_is_a_configuration_error(plain_settings: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"retrieval\.k"):
        Fuente.configured(retrieval={"k": 0})


def test_an_embedder_that_is_loaded_already_is_used(fuente: Fuente) -> None:
    assert Fuente(fuente.config, embedder=fuente.embedder).embedder is fuente.embedder


def test_importing_loads_neither_torch_nor_a_model_library() -> None:
    code = "import rag, rag.cli, sys; print({'torch', 'transformers', 'sentence_transformers'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


_COMMAND = """
import sys
from rag.cli import main
try:
    main()
finally:
    print("loaded:", sorted({"torch", "transformers", "sentence_transformers"} & sys.modules.keys()))
"""


def command(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own, which says in the end which model libraries it has loaded."""
    search_path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-c", _COMMAND, *arguments],
        env={**os.environ, "PYTHONPATH": search_path, **variables},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_a_sync_that_embeds_nothing_loads_no_model(fuente: Fuente, tiny_models: Path) -> None:
    gone = write("docs/a.txt", "Las redes aprenden pesos.")
    write("docs/b.txt", "Los faros guían a los barcos.")
    fuente.ingest(["docs"])
    embedder = str(tiny_models / "embedder")
    unchanged = command("ingest", "docs", FUENTE_MODELS__EMBEDDER=embedder)
    assert "0 added, 0 changed, 2 unchanged" in unchanged.stdout, unchanged.stderr
    gone.unlink()
    removed = command("ingest", "docs", FUENTE_MODELS__EMBEDDER=embedder)
    assert "1 unchanged, 1 removed" in removed.stdout, removed.stderr
    assert {done.stdout.splitlines()[-1] for done in (unchanged, removed)} == {"loaded: []"}


def test_an_index_of_other_settings_is_refused_without_loading_a_model(fuente: Fuente, tiny_models: Path) -> None:
    write("docs/a.txt", "Las redes aprenden pesos.")
    fuente.ingest(["docs"])
    write("docs/b.txt", "Los faros guían a los barcos.")
    other = str(shutil.copytree(tiny_models / "embedder", "other"))
    embedder = {"FUENTE_MODELS__EMBEDDER": str(tiny_models / "embedder")}
    for variables, name in [
        ({**embedder, "FUENTE_INGEST__CHUNK_TOKENS": "64"}, "chunk_tokens"),
        ({**embedder, "FUENTE_MODELS__PASSAGE_PREFIX": "texto: "}, "passage_prefix"),
        ({"FUENTE_MODELS__EMBEDDER": other}, "embedder"),
    ]:
        refused = command("ingest", "docs", **variables)
        assert (refused.returncode, refused.stdout) == (1, "loaded: []\n")
        assert f"built with {name} " in refused.stderr


def test_other_weights_under_the_same_name_are_refused(fuente: Fuente, tiny_models: Path) -> None:
    Path("mine").symlink_to(shutil.copytree(tiny_models / "embedder", "first"))
    write("a.txt", "Las redes aprenden pesos.")
    Fuente.configured(models={"embedder": "mine", "device": "cpu"}).ingest(["a.txt"])
    Path("mine").unlink()
    weights = Path(shutil.copytree("first", "mine")) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(IndexMismatchError, match="revision"):
        Fuente.configured(models={"embedder": "mine", "device": "cpu"}).ingest(["a.txt"])


def test_a_model_that_cannot_be_loaded_leaves_no_index_behind(plain_settings: Path, tiny_models: Path) -> None:
    broken = Path(shutil.copytree(tiny_models / "embedder", "broken"))
    (broken / "model.safetensors").write_bytes(b"none")
    write("a.txt", "Las redes aprenden pesos.")
    with pytest.raises(ModelError, match="broken"):
        Fuente.configured(models={"embedder": "broken", "device": "cpu"}).ingest(["a.txt"])
    assert not Path("fuente-index").exists()


@pytest.mark.parametrize(
    "name", ["shard-0000/dense.faiss", "shard-0000/ids.npy", "manifest.json", "shard-0000/lexical/terms.npy"]
)
def test_damaged_search_files_are_built_again(fuente: Fuente, tiny_models: Path, name: str) -> None:
    write("docs/a.txt", "Las redes aprenden pesos.")
    fuente.ingest(["docs"])
    expected = fuente.index.search("redes", 3)
    path = fuente.config.index / "gen-000001" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert configured(tiny_models).index.search("redes", 3) == expected


def test_a_damaged_store_is_said(fuente: Fuente, tiny_models: Path) -> None:
    write("docs/a.txt", "Las redes aprenden pesos.")
    fuente.ingest(["docs"])
    for path in fuente.config.index.glob("fuente.db*"):
        path.write_bytes(b"garbage" * 1000)
    with pytest.raises(IndexDamagedError, match=r"fuente\.db"):
        configured(tiny_models).index.search("redes", 3)


def test_what_vanished_leaves_unless_it_is_kept(fuente: Fuente) -> None:
    gone = write("docs/a.txt", "Las redes aprenden pesos.")
    write("docs/b.txt", "Los faros guían a los barcos.")
    fuente.ingest(["docs"])
    gone.unlink()
    assert not fuente.ingest(["docs"], keep_missing=True).removed
    assert len(fuente.index.sources()) == 2
    assert fuente.ingest(["docs"]).removed == [str(gone.absolute())]
    assert [Path(info.source).name for info in fuente.index.sources()] == ["b.txt"]
