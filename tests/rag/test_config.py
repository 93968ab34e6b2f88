"""Where a value comes from, and what is said about one that is wrong."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from rag.config import Config, load_config
from rag.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("plain_settings")


def write(text: str, name: str = "fuente.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def refusal(**flags: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_config(**flags)
    return str(caught.value)


def test_each_source_overrides_the_one_before_key_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (load_config().retrieval.k, load_config().retrieval.candidates) == (5, 100)
    write("[retrieval]\nk = 6\ncandidates = 60\ndense_weight = 0.6\n")
    assert load_config().retrieval.k == 6
    monkeypatch.setenv("FUENTE_RETRIEVAL__K", "7")
    monkeypatch.setenv("FUENTE_RETRIEVAL__CANDIDATES", "70")
    section = load_config(retrieval={"k": 8}).retrieval
    assert (section.k, section.candidates, section.dense_weight, section.fusion) == (8, 70, 0.6, "mix")


def test_a_named_file_is_read_instead_of_the_local_one(monkeypatch: pytest.MonkeyPatch) -> None:
    write('language = "es"\n')
    monkeypatch.setenv("FUENTE_CONFIG", str(write('language = "pt"\n', "other.toml")))
    assert load_config().language == "pt"


def test_an_unknown_key_of_the_file_is_named_with_the_file() -> None:
    write("[retrieval]\nkk = 3\n")
    assert refusal() == "retrieval.kk: no such key (given: 3). Correct it in fuente.toml"


def test_an_unknown_section_of_the_file_is_named_with_the_file() -> None:
    write("[retrieve]\nk = 3\n")
    assert refusal().startswith("retrieve: no such key")
    assert refusal().endswith("fuente.toml")


def test_an_unknown_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUENTE_RETREIVAL__K", "3")
    assert "environment variable FUENTE_RETREIVAL__K: no such key" in refusal()


def test_an_unknown_key_within_a_section_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    write("[retrieval]\nk = 3\n")
    monkeypatch.setenv("FUENTE_RETRIEVAL__KK", "3")
    assert "retrieval.kk: no such key" in refusal()
    assert refusal().endswith("the environment variable FUENTE_RETRIEVAL__KK")


def test_an_unknown_flag_is_named() -> None:
    assert refusal(retrieval={"kk": 3}) == (
        "retrieval.kk: no such key (given: 3). Correct it in what was given on the command line"
    )


def test_a_value_is_blamed_on_the_source_that_gave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    write("[retrieval]\nk = 0\n")
    assert "retrieval.k" in refusal()
    assert refusal().endswith("fuente.toml")
    monkeypatch.setenv("FUENTE_RETRIEVAL__K", "many")
    assert refusal().endswith("the environment variable FUENTE_RETRIEVAL__K")
    assert refusal(retrieval={"k": -1}).endswith("the command line")


def test_all_mistakes_are_told_at_once() -> None:
    write("[retrieval]\nk = 0\nfusion = 'sum'\n")
    assert "retrieval.k:" in refusal()
    assert "retrieval.fusion:" in refusal()


def test_a_variable_of_a_whole_section_must_be_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUENTE_RETRIEVAL", "{")
    assert "retrieval" in refusal()
    assert "environment variable" in refusal()


@pytest.mark.parametrize("text", ["[retrieval\nk = 3", 'index = "\\q"', "k = "])
def test_bad_toml_is_told_with_the_file(text: str) -> None:
    write(text)
    assert refusal().startswith("fuente.toml: ")
    assert refusal().endswith("Correct the file's TOML")


def test_bytes_that_are_no_text_are_told_with_the_file() -> None:
    Path("fuente.toml").write_bytes(b'index = "\xff"')
    assert refusal().startswith("fuente.toml: ")


def test_a_named_file_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUENTE_CONFIG", "missing.toml")
    assert refusal().startswith("missing.toml: no such configuration file")


def test_the_tree_is_frozen() -> None:
    config = load_config()
    with pytest.raises(ValidationError, match="frozen"):
        config.language = "es"
    with pytest.raises(ValidationError, match="frozen"):
        config.retrieval.k = 3


def test_a_key_of_a_server_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUENTE_SERVER__API_KEY", "sk-secret")
    config = load_config()
    assert config.server.api_key == "sk-secret"
    assert "sk-secret" not in repr(config)
    monkeypatch.setenv("FUENTE_SERVER__APIKEY", "sk-secret")
    assert "sk-secret" not in refusal()


def test_a_tilde_in_the_file_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write('index = "~/library"\n[models]\ncache = "~/weights"\n')
    assert load_config().index == tmp_path / "library"
    assert load_config().models.cache == tmp_path / "weights"


def test_every_key_of_the_documentation_exists() -> None:
    """The example of the README is a valid file."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for block in readme.split("```toml\n")[1:]:
        write(block.partition("```")[0])
        assert isinstance(load_config(), Config)
