import json

import pytest

from generative.cli import app, main


def _run(*arguments):
    return app([str(one) for one in arguments], standalone_mode=False)


def test_train_resume_sample_and_pack(tmp_path, capsys):
    run = tmp_path / "run"
    few = ("--set", "training.steps=20", "--set", "training.log_every=5", "--out", run)
    _run("train", "autoencoder", "--max-steps", 10, *few)
    _run("train", "autoencoder", "--resume", *few)
    assert {path.name for path in run.iterdir()} == {"checkpoint.safetensors", "curve.png", "samples.png"}
    _run("pack", run / "checkpoint.safetensors", tmp_path / "small.safetensors", "--half")
    _run("sample", "autoencoder", "--n", 4, "--from", tmp_path / "small.safetensors", "--out", tmp_path / "new")
    assert (tmp_path / "new" / "samples.png").is_file()
    _run("interpolate", "autoencoder", "--from", tmp_path / "small.safetensors", "--out", tmp_path / "new")
    capsys.readouterr()
    _run("anomaly", "autoencoder", tmp_path / "new" / "samples.png", "--from", tmp_path / "small.safetensors")
    told = json.loads(capsys.readouterr().out)
    assert told["anomaly"] == (told["score"] > told["threshold"])


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    _run("train", "autoencoder", "--dry-run", "--seed", 3, "--out", tmp_path / "run")
    assert json.loads(capsys.readouterr().out)["training"]["seed"] == 3
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nothing"], "autoencoder"),
        (["train", "autoencoder", "--data", "/nowhere"], "folder of images"),
        (["train", "autoencoder", "--set", "training.lr"], "field=value"),
        (["train", "autoencoder", "--set", "depth=3"], "no field 'depth'"),
        (["train", "autoencoder", "--preset", "tpu"], "cpu or gpu"),
        (["sample", "autoencoder", "--from", "/nowhere"], "cannot be read"),
    ],
)
def test_errors_say_the_rule_and_the_mend(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["generative", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 1
    assert message in capsys.readouterr().err
