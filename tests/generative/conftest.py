import pytest
import torch

from generative.autoencoder import Autoencoder, AutoencoderConfig
from generative.image_data import open_images
from generative.training import Training


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """One thread adds up floats in one order, so equal bits can be asked for."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits():
    return open_images("digits")


@pytest.fixture
def small():
    """Makes an autoencoder that trains in no time; keyword arguments are fields of its training."""

    def make(**training):
        chosen = {"steps": 20, "batch_size": 32, "log_every": 5, "ema_decay": 0.9, "warmup_steps": 3, **training}
        return Autoencoder(AutoencoderConfig(Training(**chosen), latent=4, hidden=(16,), noise=0.1), device="cpu")

    return make
