"""Pictures of documents are indexed beside the texts and found by what they show, with a real CLIP of tiny size."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reportlab.pdfgen import canvas

from models.deferred import embedding_dimension
from rag.compose import Fuente
from rag.errors import ConfigurationError
from rag.pictures import PictureHit, PictureLibrary
from rag.sources import pictures_folder
from tests.rag.conftest import tiny_tokenizer
from tests.rag.test_cli import Command, failure, run, run_json, work

__all__ = ["failure", "work"]

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (30, 60, 220), "grey": (120, 120, 120)}
QUESTION = "una red roja"


def save_tiny_clip(folder: Path) -> None:
    """A CLIP of one layer that has learnt what `COLOURS` are called."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

    begin, end, other = "<|im_end|>", "<|im_start|>", "<|endoftext|>"
    pieces = json.loads(tiny_tokenizer().backend_tokenizer.to_str())["model"]
    make_tokenizer: Any = CLIPTokenizer
    tokenizer = make_tokenizer(
        vocab=pieces["vocab"], merges=[tuple(merge) for merge in pieces["merges"]], unk_token=other, bos_token=begin,
        eos_token=end, pad_token=other,
    )  # fmt: skip
    size = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    special = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
    config = CLIPConfig(
        text_config={**size, **special, "vocab_size": len(tokenizer), "max_position_embeddings": 32},
        vision_config={**size, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    torch.manual_seed(4)
    model: Any = CLIPModel(config)
    make_images: Any = CLIPImageProcessorPil
    make_processor: Any = CLIPProcessor
    images = make_images(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = make_processor(images, tokenizer)
    shown = [Image.new("RGB", (64, 64), colour) for colour in COLOURS.values()]
    batch = processor(text=list(COLOURS), images=shown, return_tensors="pt", padding=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = model(**batch, return_loss=True).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    save_tiny_clip(folder)
    return folder


@pytest.fixture
def gallery(work: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two text documents, four images and a PDF with a figure on its second page, not yet ingested."""
    monkeypatch.setenv("FUENTE_PICTURES__MODEL", str(tiny_clip))
    for name, colour in COLOURS.items():
        Image.new("RGB", (64, 64), colour).save(f"docs/{name}.png")
    Image.new("RGB", (64, 64), (250, 240, 20)).save("figure.png")
    report("docs/report.pdf", Path("figure.png"))
    return work


def report(path: str, figure: Path) -> None:
    drawing = canvas.Canvas(path)
    drawing.drawString(50, 700, "El informe anual trata del agua.")
    drawing.showPage()
    drawing.drawString(50, 700, "La figura va debajo.")
    drawing.drawImage(str(figure), 50, 400, 100, 100)
    drawing.save()


def names(hits: Sequence[PictureHit]) -> list[str]:
    return [Path(hit.source).name for hit in hits]


def library() -> PictureLibrary:
    return Fuente.configured().media.pictures


def cosines(clip: Path, question: str, hits: Sequence[PictureHit]) -> list[float]:
    """By transformers alone, of the copies that were found."""
    import torch
    from transformers import AutoProcessor, CLIPModel

    load_model: Any = CLIPModel
    load_processor: Any = AutoProcessor
    model, processor = load_model.from_pretrained(clip), load_processor.from_pretrained(clip)
    pictures = [Image.open(hit.path).convert("RGB") for hit in hits]
    with torch.no_grad():
        found = model(**processor(text=[question], images=pictures, return_tensors="pt", padding=True))
    vectors = torch.nn.functional.normalize(found.image_embeds, dim=-1)  # (N, D)
    asked = torch.nn.functional.normalize(found.text_embeds, dim=-1)  # (1, D)
    return [float(value) for value in (vectors @ asked.T)[:, 0]]


def test_pictures_are_found_in_the_order_of_the_model(gallery: Path, tiny_clip: Path) -> None:
    told = run_json("ingest", "docs")
    assert (len(told["added"]), told["pictures"], told["failed"]) == (7, 5, [])
    hits = library().search(QUESTION, 9)
    assert sorted(names(hits)) == ["blue.png", "green.png", "grey.png", "red.png", "report.pdf"]
    assert {name: hit.page for name, hit in zip(names(hits), hits, strict=True)}["report.pdf"] == 2
    expected = cosines(tiny_clip, QUESTION, hits)
    np.testing.assert_allclose([hit.score for hit in hits], expected, atol=1e-5)
    assert expected == sorted(expected, reverse=True)
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]


def test_filters_come_before_the_best_are_taken(gallery: Path) -> None:
    run("ingest", "docs")
    everything = library().search(QUESTION, 9)
    for hit in everything:
        (found,) = run_json("search", QUESTION, "--pictures", "-k", "1", "--source", Path(hit.source).name)["pictures"]
        assert (found["source"], found["rank"], found["file"]) == (hit.source, 1, str(hit.path))
    lines = run("search", QUESTION, "--pictures", "-k", "2").splitlines()
    assert [line.split()[1].rstrip(",") for line in lines[::2]] == [hit.source for hit in everything[:2]]
    run("ingest", "figure.png", "--collection", "mine")
    (only,) = run_json("search", QUESTION, "--pictures", "--collection", "mine")["pictures"]
    assert Path(only["source"]).name == "figure.png"


def test_a_picture_is_found_by_what_it_shows(gallery: Path) -> None:
    run("ingest", "docs")
    asked = library()
    assert {name: names(asked.search(name, 1)) for name in COLOURS} == {name: [f"{name}.png"] for name in COLOURS}


def test_a_question_is_read_as_far_as_the_model_reads(gallery: Path) -> None:
    run("ingest", "docs")
    asked = library()
    short, long, longer = (asked.search(text, 1)[0].score for text in (QUESTION, QUESTION * 50, QUESTION * 60))
    assert short != long == longer


def test_what_changes_or_leaves_is_followed_and_its_copy_deleted(gallery: Path) -> None:
    run("ingest", "docs")
    before = {hit.source: hit.path for hit in library().search(QUESTION, 9)}
    assert run_json("ingest", "docs")["pictures"] == 0
    Path("docs/red.png").unlink()
    Image.new("RGB", (64, 64), (0, 0, 0)).save("docs/blue.png")
    Path("docs/report.pdf").unlink()
    told = run_json("ingest", "docs")
    assert (sorted(Path(path).name for path in told["removed"]), told["pictures"]) == (["red.png", "report.pdf"], 1)
    assert sorted(names(library().search(QUESTION, 9))) == ["blue.png", "green.png", "grey.png"]
    assert run("remove", "green.png") == "1 removed\n"
    after = {hit.source: hit.path for hit in library().search(QUESTION, 9)}
    assert sorted(Path(source).name for source in after) == ["blue.png", "grey.png"]
    copies = set((pictures_folder(Path("fuente-index")) / "copies").iterdir())
    assert copies == set(after.values())
    assert len(set(before.values()) - copies) == 4


def test_a_document_removed_takes_its_figures_along(gallery: Path) -> None:
    run("ingest", "docs")
    run("remove", "report.pdf")
    assert "report.pdf" not in names(library().search(QUESTION, 9))
    assert "report.pdf" not in run("status", "--sources")
    assert "red.png" in run("status", "--sources")


def test_damage_is_found(gallery: Path, failure: Command) -> None:
    run("ingest", "docs")
    assert "sound" in run("verify")
    (first, *_) = library().search(QUESTION, 1)
    content = bytearray(first.path.read_bytes())
    content[-1] ^= 1
    first.path.write_bytes(content)
    assert "differs from its checksum" in failure("search", QUESTION, "--pictures")
    found = json.loads(run_failing("verify", "--json"))
    assert [Path(each["path"]).name for each in found["findings"]] == [first.path.name]
    assert first.path.name in run_failing("doctor")


def run_failing(*arguments: str) -> str:
    from rag.cli import app
    from tests.rag.test_cli import runner

    result = runner.invoke(app, list(arguments))
    assert result.exit_code == 1
    return result.stdout


def test_unreadable_pictures_are_named_and_the_rest_goes_in(gallery: Path) -> None:
    Path("docs/damaged.jpg").write_bytes(b"\xff\xd8\xff no picture")
    told = run_json("ingest", "docs")
    assert [(Path(each["source"]).name, each["rule"]) for each in told["failed"]] == [("damaged.jpg", "unreadable")]
    assert told["pictures"] == 5


def test_another_model_needs_the_pictures_embedded_anew(
    gallery: Path, tmp_path: Path, failure: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("ingest", "docs")
    save_tiny_clip(tmp_path / "other")
    monkeypatch.setenv("FUENTE_PICTURES__MODEL", str(tmp_path / "other"))
    assert "fuente reindex" in failure("search", QUESTION, "--pictures")
    run("reindex")
    assert len(library().search(QUESTION, 9)) == 5


def test_questions_can_be_read_by_a_model_of_texts_in_the_same_space(
    gallery: Path, tiny_models: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch, failure: Command
) -> None:
    run("ingest", "docs")
    monkeypatch.setenv("FUENTE_PICTURES__TEXT_MODEL", str(tiny_models / "embedder"))
    assert "vectors of 16 dimensions" in failure("search", QUESTION, "--pictures")
    monkeypatch.setenv("FUENTE_PICTURES__TEXT_MODEL", str(tiny_clip))
    assert library().search(QUESTION, 2)


def test_nothing_changes_where_it_is_not_configured(
    gallery: Path, failure: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FUENTE_PICTURES__MODEL")
    told = run_json("ingest", "docs")
    assert (len(told["added"]), told["pictures"]) == (3, 0)
    assert sorted(Path(path).name for path in told["skipped"]) == sorted(f"{name}.png" for name in COLOURS)
    assert not pictures_folder(Path("fuente-index")).exists()
    with pytest.raises(ConfigurationError, match=r"pictures\.model is not set"):
        library()
    assert "fuente ingest PATH" in failure("search", QUESTION, "--pictures", "--source", "red.png")


def test_a_clip_as_older_versions_of_the_library_saved_it_is_known_and_used(
    gallery: Path, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert embedding_dimension(tiny_clip) == 16
    older = tmp_path / "older"
    shutil.copytree(tiny_clip, older / "0_CLIPModel")
    module = {"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}
    (older / "modules.json").write_text(json.dumps([module]), encoding="utf-8")
    assert embedding_dimension(older) == 16
    run("ingest", "docs")
    expected = library().search(QUESTION, 9)
    shutil.rmtree(pictures_folder(Path("fuente-index")))
    monkeypatch.setenv("FUENTE_PICTURES__MODEL", str(older))
    run("ingest", "docs")
    found = library().search(QUESTION, 9)
    assert names(found) == names(expected)
    np.testing.assert_allclose([hit.score for hit in found], [hit.score for hit in expected], atol=1e-5)
