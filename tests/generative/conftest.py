import pytest
import torch

from generative.autoencoder import Autoencoder, AutoencoderConfig
from generative.autoregressive import Autoregressive, AutoregressiveConfig
from generative.diffusion import Diffusion, DiffusionConfig
from generative.gan import Gan, GanConfig
from generative.image_data import open_images
from generative.training import Training
from generative.vae import Vae, VaeConfig

# Each family in a size that trains in no time.
SMALL = {
    "autoencoder": (Autoencoder, AutoencoderConfig, {"latent": 4, "hidden": (16,), "noise": 0.1}),
    "autoencoder-conv": (Autoencoder, AutoencoderConfig, {"kind": "conv", "latent": 4, "hidden": (8, 8)}),
    "vae": (Vae, VaeConfig, {"latent": 3, "width": 16}),
    "vae-mixture": (Vae, VaeConfig, {"latent": 3, "width": 16, "components": 4, "importance_samples": 3}),
    "vae-grey": (Vae, VaeConfig, {"latent": 3, "width": 16, "pixels": "grey", "beta": 2.0, "free_nats": 0.1}),
    "autoregressive": (Autoregressive, AutoregressiveConfig, {"width": 16, "blocks": 1, "orders": 1}),
    "gan": (Gan, GanConfig, {"latent": 8, "width": 8}),
    "gan-relativistic": (
        Gan,
        GanConfig,
        {"kind": "dense", "latent": 8, "width": 8, "spectral": False, "relativistic": True, "r2": 0.1},
    ),
    "gan-plain": (
        Gan,
        GanConfig,
        {"kind": "dense", "conditional": False, "spectral": False, "r1": 0.0, "augment": 0.0},
    ),
    "diffusion": (Diffusion, DiffusionConfig, {"widths": (8, 16), "sample_steps": 4}),
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """One thread adds up floats in one order, so equal bits can be asked for."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits():
    return open_images("digits")


@pytest.fixture
def make():
    """Makes a small family of that name; keyword arguments are fields of its training."""

    def made(name, **training):
        kind, config, fields = SMALL[name]
        chosen = {"steps": 20, "batch_size": 32, "log_every": 5, "ema_decay": 0.9, "warmup_steps": 3, **training}
        return kind(config(Training(**chosen), **fields), device="cpu")

    return made


@pytest.fixture
def small(make):
    """Makes a small autoencoder."""
    return lambda **training: make("autoencoder", **training)


@pytest.fixture
def random():
    return torch.Generator().manual_seed(0)
