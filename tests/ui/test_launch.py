"""How the server is started: local, silent, and with its theme."""

import tomllib

import pytest
from streamlit import config as streamlit_config
from streamlit.web import cli

from ui import launch


@pytest.fixture
def started(monkeypatch):
    calls = []
    monkeypatch.setattr(cli, "main", lambda arguments, **_: calls.append(list(arguments)))
    return calls


def test_it_serves_this_machine_only_and_reports_nothing(started):
    assert launch.launch(port=8600, open_browser=False) == 0
    (arguments,) = started
    assert arguments[:2] == ["run", str(launch.APP)]
    for option in ("--server.address=127.0.0.1", "--server.port=8600", "--server.headless=true"):
        assert option in arguments
    assert "--browser.gatherUsageStats=false" in arguments
    assert not any("allowedHosts" in argument for argument in arguments)


def test_the_index_reaches_the_page(started, monkeypatch, tmp_path):
    monkeypatch.setenv("FUENTE_INDEX", "elsewhere")
    launch.launch(index=tmp_path / "chosen", open_browser=True)
    assert launch.os.environ["FUENTE_INDEX"] == str(tmp_path / "chosen")
    assert "--server.headless=false" in started[0]


def test_serving_to_others_is_asked_for(started):
    launch.launch(host="0.0.0.0")  # noqa: S104
    assert "--server.address=0.0.0.0" in started[0]
    assert "--server.allowedHosts=*" in started[0]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_local_names_keep_the_list_of_hosts(started, host):
    launch.launch(host=host)
    assert not any("allowedHosts" in argument for argument in started[0])


def test_a_failed_start_is_the_exit_status(monkeypatch):
    def fail(*_, **__):
        raise SystemExit(3)

    monkeypatch.setattr(cli, "main", fail)
    assert launch.launch() == 3


def test_every_option_is_one_that_streamlit_knows():
    known = streamlit_config.get_config_options()
    for option in launch.STREAMLIT_OPTIONS:
        assert option.removeprefix("--").split("=")[0] in known
    for key in _flat(tomllib.loads((launch.APP.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8"))):
        assert key in known


def test_nothing_in_the_style_is_fetched():
    style = (launch.APP.parent / "style.css").read_text(encoding="utf-8")
    assert "@import" not in style
    assert style.count("url(") == style.count('url("data:')


def _flat(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key
