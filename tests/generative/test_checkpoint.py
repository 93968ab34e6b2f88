import pytest
import torch
from safetensors.torch import save_file

from generative import load
from generative.autoencoder import Autoencoder
from generative.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from generative.errors import CheckpointError


@pytest.fixture
def path(tmp_path):
    tensors = {"network.weight": torch.arange(6.0).reshape(2, 3), "network.step": torch.tensor(7)}
    return write_checkpoint(Checkpoint("mine", "{}", tensors, {"history": [{"step": 1.0}]}), tmp_path / "a.safetensors")


def test_a_checkpoint_comes_back(path):
    read = read_checkpoint(path)
    assert (read.family, read.config, read.state) == ("mine", "{}", {"history": [{"step": 1.0}]})
    assert torch.equal(read.part("network")["weight"], torch.arange(6.0).reshape(2, 3))
    assert [file.name for file in path.parent.iterdir()] == ["a.safetensors"]


def test_every_flipped_bit_of_the_tensors_is_noticed(path):
    whole = path.read_bytes()
    for place in range(len(whole) - 32, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(CheckpointError, match=r"SHA-256|safetensors"):
            read_checkpoint(path)


def test_other_files_are_refused(tmp_path):
    plain, text = tmp_path / "plain.safetensors", tmp_path / "text.safetensors"
    save_file({"a": torch.zeros(1)}, plain)
    text.write_text("no tensors")
    for path in (plain, text, tmp_path / "missing"):
        with pytest.raises(CheckpointError):
            read_checkpoint(path)


def test_a_family_is_found_by_its_checkpoint(small, digits, tmp_path):
    made = small()
    made.calibrate(digits.test.x)
    loaded = load(made.save(tmp_path / "a.safetensors"), device="cpu")
    assert isinstance(loaded, Autoencoder)
    assert loaded.config == made.config
    assert loaded.threshold == made.threshold
    assert torch.equal(loaded.score(digits.test.x), made.score(digits.test.x))


def test_weights_of_another_shape_are_refused(small, tmp_path):
    made = small()
    whole = read_checkpoint(made.save(tmp_path / "a.safetensors"))
    other = made.config.changed({"latent": 5}).to_json()
    write_checkpoint(Checkpoint(whole.family, other, whole.tensors, whole.state), tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match="do not fit"):
        load(tmp_path / "b.safetensors", device="cpu")


def test_a_packed_file_samples_like_the_average_and_cannot_be_resumed(small, digits, tmp_path):
    made = small().fit(digits.train, max_steps=10)
    packed = made.save(tmp_path / "packed.safetensors", training=False)
    one, other = (
        family.sample(4, generator=torch.Generator().manual_seed(1)) for family in (made, load(packed, device="cpu"))
    )
    assert torch.equal(one, other)
    assert packed.stat().st_size < made.save(tmp_path / "whole.safetensors").stat().st_size / 3
    with pytest.raises(CheckpointError, match="nothing to resume"):
        small().fit(digits.train, resume=packed)
