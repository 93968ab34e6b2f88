"""What the files of an embedder tell before it is loaded is what the loaded model says."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.deferred import defer_sentence_transformer, embedding_dimension
from models.devices import plan_device
from models.errors import ConversionError, DownloadError
from models.loading import load_sentence_transformer
from models.prepare import is_prepared
from models.resolve import ResolvedModel, resolve
from models.revision import revision_of
from tests.models.conftest import HIDDEN, tokenizer_bytes

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of one layer with random weights as transformers saves it, and its tokenizer."""
    torch = pytest.importorskip("torch")
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("bert")
    config = BertConfig(
        vocab_size=13, hidden_size=HIDDEN, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(tokenizer_bytes())
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "model_max_length": 32}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def modules_of(kind: str) -> list[Any]:
    """What comes after the transformer, as sentence-transformers has it."""
    from sentence_transformers.base.modules import Dense, Normalize
    from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling

    several = Pooling(HIDDEN, pooling_mode=("mean", "max", "cls"))
    return {
        "mean": [Pooling(HIDDEN)],
        "normalised": [Pooling(HIDDEN, pooling_mode="cls"), Normalize()],
        "several modes": [several, Normalize()],
        "dense": [Pooling(HIDDEN), Dense(HIDDEN, 24), Normalize()],
        "layer norm": [several, LayerNorm(3 * HIDDEN)],
    }[kind]


def saved(bert: Path, folder: Path, *modules: Any) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer

    SentenceTransformer(modules=[Transformer(str(bert)), *modules], device="cpu").save(str(folder))
    return folder


def stated(folder: Path) -> int | None:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu").get_embedding_dimension()


@pytest.mark.parametrize(
    ("kind", "dimension"),
    [("mean", 32), ("normalised", 32), ("several modes", 96), ("dense", 24), ("layer norm", 96)],
)
def test_the_files_tell_what_the_loaded_model_says(bert: Path, tmp_path: Path, kind: str, dimension: int) -> None:
    folder = saved(bert, tmp_path / "model", *modules_of(kind))
    assert embedding_dimension(folder) == stated(folder) == dimension


@pytest.mark.parametrize(
    ("flags", "dimension"),
    [({"mean_tokens": True, "cls_token": False}, 32), ({"mean_tokens": True, "cls_token": True}, 64)],
)
def test_files_of_older_versions_are_understood(
    bert: Path, tmp_path: Path, flags: dict[str, bool], dimension: int
) -> None:
    folder = saved(bert, tmp_path / "model", *modules_of("mean"))
    config = {"word_embedding_dimension": HIDDEN, **{f"pooling_mode_{key}": value for key, value in flags.items()}}
    (folder / "1_Pooling/config.json").write_text(json.dumps(config))
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "sentence_transformers.models.Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    assert embedding_dimension(folder) == stated(folder) == dimension


def test_a_plain_transformer_becomes_one_pooling(bert: Path) -> None:
    assert embedding_dimension(bert) == stated(bert) == HIDDEN


def change(folder: Path, name: str, alter: Callable[[Any], Any]) -> None:
    path = folder / name
    path.write_text(json.dumps(alter(json.loads(path.read_text()))))


@pytest.mark.parametrize(
    ("name", "alter"),
    [
        ("modules.json", lambda modules: [modules[0], {**modules[1], "type": "my_code.Pooling"}]),
        ("modules.json", lambda modules: modules[:1]),
        ("modules.json", lambda modules: {"not": "a list"}),
        ("modules.json", lambda modules: [{"type": 3}]),
        ("1_Pooling/config.json", lambda config: {}),
        ("1_Pooling/config.json", lambda config: {**config, "embedding_dimension": "32"}),
        ("1_Pooling/config.json", lambda config: []),
    ],
)
def test_what_the_files_do_not_tell_plainly_is_left_to_loading(
    bert: Path, tmp_path: Path, name: str, alter: Callable[[Any], Any]
) -> None:
    folder = saved(bert, tmp_path / "model", *modules_of("mean"))
    change(folder, name, alter)
    assert embedding_dimension(folder) is None


def test_other_networks_and_no_network_are_left_to_loading(bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    change(folder, "config.json", lambda config: {**config, "projection_dim": 16})
    assert embedding_dimension(folder) is None
    (folder / "config.json").unlink()
    assert embedding_dimension(folder) is None


def test_the_tokenizer_of_the_folder_counts_as_the_loaded_one(bert: Path, tmp_path: Path) -> None:
    folder = saved(bert, tmp_path / "model", *modules_of("mean"))
    deferred = defer_sentence_transformer(ResolvedModel("mine", str(folder), "folder"), "cpu")
    assert deferred.dimension == HIDDEN
    assert deferred.load_tokenizer is not None
    text = "el agua hierve a cien grados"
    loaded = deferred.load().tokenizer.backend_tokenizer
    assert deferred.load_tokenizer().encode(text).ids == loaded.encode(text).ids
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ConversionError, match=r"tokenizer\.json: the tokenizer cannot be read"):
        deferred.load_tokenizer()
    (folder / "tokenizer.json").unlink()
    assert defer_sentence_transformer(ResolvedModel("mine", str(folder), "folder"), "cpu").load_tokenizer is None


@pytest.fixture
def hub_model(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The snapshot of a hub model, laid out as the hub's cache is."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    place = tmp_path / "hub" / "models--organisation--some-model"
    (place / "refs").mkdir(parents=True)
    (place / "refs/main").write_text(COMMIT)
    return saved(bert, place / "snapshots" / COMMIT, *modules_of("several modes"))


def test_a_hub_model_that_is_here_is_known_by_its_commit(hub_model: Path, tmp_path: Path) -> None:
    resolved = resolve("organisation/some-model", tmp_path / "cache")
    assert (resolved.kind, resolved.folder, resolved.path_or_hub_id) == ("hub", hub_model, "organisation/some-model")
    assert revision_of(resolved) == COMMIT
    deferred = defer_sentence_transformer(resolved, "cpu")
    assert deferred.dimension == deferred.load().get_embedding_dimension() == 96


def test_the_commit_that_is_known_is_the_one_that_is_loaded(hub_model: Path, tmp_path: Path) -> None:
    resolved = resolve("organisation/some-model", tmp_path / "cache")
    (hub_model.parents[1] / "refs/main").write_text("f" * 40)
    assert load_sentence_transformer(resolved, plan_device("cpu", role="embedder")).get_embedding_dimension() == 96


def test_a_hub_model_without_weights_is_not_here(hub_model: Path, tmp_path: Path) -> None:
    (hub_model / "model.safetensors").unlink()
    resolved = resolve("organisation/some-model", tmp_path / "cache")
    assert (resolved.folder, revision_of(resolved)) == (None, "hub")
    deferred = defer_sentence_transformer(resolved, "cpu")
    assert (deferred.dimension, deferred.load_tokenizer) == (None, None)
    with pytest.raises(DownloadError, match="Allow the network once"):
        deferred.load()


@pytest.mark.models
@pytest.mark.parametrize("name", ["multilingual-e5-small", "all-minilm-l6-v2"])
def test_the_packaged_embedders_tell_before_they_are_loaded(fuente_cache: Path, name: str) -> None:
    if not is_prepared(name, fuente_cache):
        pytest.skip(f"{name} is not prepared in {fuente_cache}")
    deferred = defer_sentence_transformer(resolve(name, fuente_cache), "cpu")
    assert deferred.load_tokenizer is not None
    tokenizer, model = deferred.load_tokenizer(), deferred.load()
    assert deferred.dimension == model.get_embedding_dimension() == 384
    text = "¿Cuánto mide el puente? O menino comeu 3,5 kg; it's 日本語 <s> [CLS]."
    loaded = model.tokenizer.backend_tokenizer
    assert (
        tokenizer.encode(text, add_special_tokens=False).ids[:20]
        == loaded.encode(text, add_special_tokens=False).ids[:20]
    )
