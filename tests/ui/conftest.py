import os

import pytest

from rag import Config, load_config
from tests.ui.fakes import FakeFuente, info


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    """No setting of the machine leaks in, and everything is written below `tmp_path`."""
    for name in list(os.environ):
        if name.startswith("FUENTE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUENTE_INDEX", str(tmp_path / "index"))
    monkeypatch.setenv("FUENTE_MODELS__CACHE", str(tmp_path / "cache"))


@pytest.fixture
def config() -> Config:
    return load_config()


@pytest.fixture
def fuente(config) -> FakeFuente:
    """An application over two documents."""
    made = FakeFuente(config)
    made.publish([info("/library/moon.txt"), info("/library/sun.txt")])
    return made
