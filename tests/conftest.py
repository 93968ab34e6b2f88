"""What tests of several packages share: the folder of prepared models, and two small models out of it."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from index.embedder import Embedder
    from rag.generator import Generator

EMBEDDER = "multilingual-e5-small"
SMALL_GENERATOR = "smollm2-135m-instruct"


@pytest.fixture(scope="session")
def fuente_cache() -> Path:
    """The folder of prepared models, as configured; FUENTE_MODELS__CACHE names another one."""
    from rag.config import load_config

    return load_config().models.cache


@pytest.fixture(scope="session")
def embedder(fuente_cache: Path) -> "Embedder":
    """The packaged embedder, on one thread of the CPU; skips when it is not prepared."""
    import torch

    from models import NotPreparedError
    from rag.compose import Fuente

    # One thread adds up floats in one order, so greedy replies and rankings repeat.
    torch.set_num_threads(1)
    fuente = Fuente.configured(models={"cache": fuente_cache, "embedder": EMBEDDER, "device": "cpu"})
    try:
        return fuente.embedder
    except NotPreparedError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def small_generator(fuente_cache: Path) -> "Generator":
    """The smallest packaged chat model, on one thread of the CPU; skips when it is not prepared."""
    import torch

    from models import NotPreparedError
    from rag.compose import Fuente

    torch.set_num_threads(1)
    chosen = {"cache": fuente_cache, "generator": SMALL_GENERATOR, "device": "cpu", "dtype": "float32"}
    try:
        return Fuente.configured(models=chosen, server={"url": ""}).generator
    except NotPreparedError as error:
        pytest.skip(str(error))
