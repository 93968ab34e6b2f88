"""Names, folders, files and hub names each lead where they should, and pickle nowhere."""

from pathlib import Path

import pytest

from models.devices import plan_device
from models.errors import (
    ConversionError,
    DownloadError,
    NotPreparedError,
    UnknownModelError,
    UnsafeModelError,
)
from models.loading import load_causal_lm, load_sentence_transformer
from models.progress import Progress
from models.resolve import resolve
from tests.models.conftest import write_gguf


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


def test_a_catalogue_name_that_is_not_prepared_says_how(cache_dir: Path) -> None:
    with pytest.raises(NotPreparedError, match="fuente models prepare multilingual-e5-small"):
        resolve("multilingual-e5-small", cache_dir)


def test_a_folder_with_safetensors_is_used_as_it_is(folder: Path, cache_dir: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "training_args.bin").write_bytes(b"beside the weights")
    resolved = resolve(str(folder), cache_dir)
    assert (resolved.kind, resolved.path_or_hub_id) == ("folder", str(folder))
    assert resolved.local_files_only


def test_pickled_weights_are_refused(folder: Path, cache_dir: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(UnsafeModelError, match="only pickled weights"):
        resolve(str(folder), cache_dir)


def test_a_pickled_module_beside_good_weights_is_refused(folder: Path, cache_dir: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"good")
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(UnsafeModelError, match="2_Dense"):
        resolve(str(folder), cache_dir)


def test_a_pickle_file_is_no_model(tmp_path: Path, cache_dir: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"pickle")
    with pytest.raises(UnknownModelError):
        resolve(str(path), cache_dir)


def test_an_empty_folder_is_no_model(folder: Path, cache_dir: Path) -> None:
    with pytest.raises(UnknownModelError, match="mine"):
        resolve(str(folder), cache_dir)


def test_a_gguf_file_is_converted_once(gguf_file: Path, cache_dir: Path) -> None:
    pytest.importorskip("torch")
    reports: list[Progress] = []
    resolved = resolve(str(gguf_file), cache_dir, progress=reports.append)
    assert resolved.kind == "gguf"
    assert {report.stage for report in reports} == {"convert", "seal"}
    reports.clear()
    by_folder = resolve(str(gguf_file.parent), cache_dir, progress=reports.append)
    assert by_folder.path_or_hub_id == resolved.path_or_hub_id
    assert reports == []
    model, _ = load_causal_lm(resolved, plan_device("cpu", "float32", role="generator"))
    assert model.config.num_hidden_layers == 1


def test_a_stray_tokenizer_beside_a_gguf_file_is_not_taken(
    tmp_path: Path, tokenizer_file: Path, cache_dir: Path
) -> None:
    pytest.importorskip("torch")
    # Of the llama architecture: transformers would take the stray file for it, though not for qwen2.
    path = write_gguf(tmp_path / "gguf" / "tiny.gguf", "llama")
    tokenizer_file.replace(path.parent / "tokenizer.json")
    plan = plan_device("cpu", "float32", role="generator")
    _, tokenizer = load_causal_lm(resolve(str(path), cache_dir), plan)
    assert "<|im_end|>" in tokenizer.get_vocab()


def test_several_gguf_files_need_a_choice(folder: Path, cache_dir: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (folder / name).write_bytes(b"GGUF")
    with pytest.raises(ConversionError, match=r"a\.gguf, b\.gguf"):
        resolve(str(folder), cache_dir)


def test_a_file_that_only_claims_to_be_gguf_is_refused(tmp_path: Path, cache_dir: Path) -> None:
    path = tmp_path / "fake.gguf"
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(ConversionError, match="not GGUF"):
        resolve(str(path), cache_dir)


def test_a_truncated_gguf_file_is_refused_and_leaves_nothing(gguf_file: Path, cache_dir: Path) -> None:
    pytest.importorskip("torch")
    content = gguf_file.read_bytes()
    for size in (10, 2000, len(content) - 1000):
        gguf_file.write_bytes(content[:size])
        with pytest.raises(ConversionError):
            resolve(str(gguf_file), cache_dir)
    assert not [path for path in (cache_dir / "models").iterdir() if path.is_dir()]


def test_a_hub_name_stays_off_the_network_unless_allowed(cache_dir: Path) -> None:
    offline = resolve("organisation/some-model", cache_dir)
    assert (offline.kind, offline.local_files_only) == ("hub", True)
    assert not resolve("organisation/some-model", cache_dir, allow_network=True).local_files_only


@pytest.mark.parametrize("name", ["gpt-9", "./nowhere", "a/b/c", "../escape", "https://example.org/x", ""])
def test_anything_else_is_unknown(name: str, cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownModelError):
        resolve(name, cache_dir)


def test_a_hub_model_that_is_not_here_gives_a_clear_error(
    cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sentence_transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    resolved = resolve("organisation/some-model", cache_dir)
    with pytest.raises(DownloadError, match="Allow the network once"):
        load_causal_lm(resolved, plan_device("cpu", role="generator"))
    with pytest.raises(DownloadError, match="organisation/some-model"):
        load_sentence_transformer(resolved, plan_device("cpu", role="embedder"))
