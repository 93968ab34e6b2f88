"""The command line of the families: train, sample, evaluate, interpolate, anomaly, tune, pack."""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from generative.errors import CheckpointError, ConfigError, GenerativeError, UnsupportedError
from generative.family import AnyFamily, FamilyConfig, Split
from generative.pictures import save_curve, save_grid
from generative.registry import FAMILIES, family_class, load, shipped
from generative.training import Progress, seed_of

app = typer.Typer(
    help="Generative models, small and measured: train them, sample them, judge them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_notes = Console(stderr=True)
_DRY_STEPS = 4
_LINE_EVERY_S = 5.0

FamilyArgument = Annotated[str, typer.Argument(help="One of `python -m generative families`.")]
DataOption = Annotated[str, typer.Option("--data", help="A name such as digits or fashion, or a folder.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same result.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="The folder to write to.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
FromOption = Annotated[
    Path | None, typer.Option("--from", help="A checkpoint; by default the one that was trained or comes with Fuente.")
]
PresetOption = Annotated[str, typer.Option(help="cpu (10 minutes on two cores at most) or gpu.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="A field of the configuration: training.lr=0.001")]


@app.command()
def families() -> None:
    """List the families."""
    for name, entry in FAMILIES.items():
        print(f"{name:<16} {entry.summary}")


@app.command(epilog="Example: python -m generative train autoencoder --data digits --seed 0")
def train(
    family: FamilyArgument,
    data: DataOption = "digits",
    preset: PresetOption = "cpu",
    seed: SeedOption = 0,
    out: OutOption = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop at this step of the run.")] = None,
    max_seconds: Annotated[float, typer.Option(min=0, help="Stop after this long.")] = float("inf"),
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in the folder.")] = False,
    changes: SetOption = None,
    device: DeviceOption = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    dry_run: Annotated[
        bool, typer.Option(help="Say what would be trained and how long it takes; write nothing.")
    ] = False,
) -> None:
    """Train a family: writes checkpoint.safetensors, curve.png and samples to the folder."""
    kind = family_class(family)
    split = kind.open_data(data)
    config = kind.preset(preset, split.about).changed({"training.seed": seed, **_parsed(changes or [])})
    made = kind(config, device=device, dtype=dtype)
    _notes.print(
        f"{family}: {made.parameter_count:,} parameters, {len(split.train):,} examples of {split.name}, {made.device}"
    )
    if dry_run:
        _estimate(made, split, max_steps)
        return
    folder = _folder(out, family, split.name)
    checkpoint = folder / "checkpoint.safetensors"
    with _bar(family) as show:
        made.fit(
            split.train,
            val=split.test if split.watched is None else split.watched,
            max_steps=max_steps,
            max_seconds=max_seconds,
            resume=checkpoint if resume else None,
            checkpoint=checkpoint,
            report=show,
        )
    written = [
        checkpoint,
        save_curve(made.history, folder / "curve.png", title=f"{family} · {split.name} · seed {seed}"),
    ]
    if made.draws:
        written += made.write_samples(made.sample(64, generator=_generator(made, seed)), folder)
    for path in written:
        print(path)


@app.command(epilog="Example: python -m generative sample vae --n 64 --seed 3")
def sample(
    family: FamilyArgument,
    data: DataOption = "digits",
    n: Annotated[int, typer.Option(min=1)] = 64,
    condition: Annotated[
        str | None, typer.Option(help="A class, or a caption in Spanish, English or Portuguese.")
    ] = None,
    seed: SeedOption = 0,
    source: FromOption = None,
    out: OutOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Write samples of a trained family, at once from the checkpoint that comes with Fuente."""
    made = _trained(family, data, source, device)
    wanted = None if condition is None else made.parse_condition(condition)
    for path in made.write_samples(
        made.sample(n, condition=wanted, generator=_generator(made, seed)), _folder(out, family, data)
    ):
        print(path)


@app.command(epilog="Example: python -m generative evaluate vae --data digits")
def evaluate(
    family: FamilyArgument,
    data: DataOption = "digits",
    seed: SeedOption = 0,
    source: FromOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Judge a trained family by the protocol and print the figures as JSON."""
    made = _trained(family, data, source, device)
    began = time.monotonic()
    figures = made.evaluate(made.open_data(data), seed=seed)
    _notes.print(f"judged in {time.monotonic() - began:.0f} s")
    print(json.dumps({"family": family, "data": data, "seed": seed, **figures}, indent=1))


@app.command(epilog="Example: python -m generative seeds vae --seeds 3 --max-seconds 600")
def seeds(
    family: FamilyArgument,
    data: DataOption = "digits",
    preset: PresetOption = "cpu",
    count: Annotated[int, typer.Option("--seeds", min=1, help="How many, from 0 on.")] = 3,
    out: OutOption = None,
    max_seconds: Annotated[float, typer.Option(min=0, help="Of training in this call; the next goes on.")] = math.inf,
    changes: SetOption = None,
) -> None:
    """Train and judge a family with several seeds: mean and range of every figure, as rows of a table."""
    from generative.evaluation.seeds import figures_of_seeds, spreads

    kind = family_class(family)
    split = kind.open_data(data)
    config = kind.preset(preset, split.about).changed(_parsed(changes or []))
    folder = out or _folder(None, f"seeds-{family}", data)
    with _bar(family) as show:
        made = dict(figures_of_seeds(kind, config, split, folder, range(count), max_seconds=max_seconds, report=show))
    for seed, figures in made.items():
        _notes.print(f"seed {seed}: {json.dumps(figures)}")
    if len(made) < count:
        _notes.print(f"{len(made)} of {count} seeds are done; the same command goes on.")
    for spread in spreads(list(made.values())) if made else []:
        print(spread.row())


@app.command(epilog="Example: python -m generative augment gan --per-class 10")
def augment(
    family: FamilyArgument,
    data: DataOption = "digits",
    per_class: Annotated[int, typer.Option(min=1, help="Real images of each class.")] = 10,
    seed: SeedOption = 0,
    source: FromOption = None,
) -> None:
    """Say what a classifier of a few real images gains by drawn ones."""
    from generative.evaluation.augmentation import augmentation_figures
    from generative.image_family import ImageFamily

    made = _trained(family, data, source, "cpu")
    if not isinstance(made, ImageFamily):
        raise UnsupportedError(f"{family} draws no images.")
    figures = augmentation_figures(made, made.open_data(data), per_class=per_class, seed=seed)
    print(json.dumps({"family": family, "data": data, "per_class": per_class, "seed": seed, **figures}))


@app.command(epilog="Example: python -m generative interpolate vae --one 3 --other 8")
def interpolate(
    family: FamilyArgument,
    data: DataOption = "digits",
    one: Annotated[int, typer.Option(min=0, help="Number of a test image.")] = 0,
    other: Annotated[int, typer.Option(min=0, help="Number of another.")] = 1,
    steps: Annotated[int, typer.Option(min=3)] = 9,
    source: FromOption = None,
    out: OutOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Draw the images between two test images; with an odd number of steps the exact midpoint is among them."""
    made = _trained(family, data, source, device)
    between = _ability(made, "interpolate")
    test = made.open_data(data).test
    ends = [_example(test, number) for number in (one, other)]
    print(save_grid(between(*ends, steps), _folder(out, family, data) / "interpolation.png", columns=steps))


@app.command(epilog="Example: python -m generative anomaly vae photo.png")
def anomaly(
    family: FamilyArgument,
    images: Annotated[list[Path], typer.Argument(help="Images to judge.")],
    data: DataOption = "digits",
    share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Of held-out images that may exceed the threshold.")
    ] = 0.05,
    source: FromOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Say for each image how unlike the training data it is; the threshold comes from the test images."""
    from generative.image_data import Images, read_image, to_tensor

    made = _trained(family, data, source, device)
    calibrate, test, shape = _ability(made, "calibrate"), made.open_data(data).test, made.config.image
    assert isinstance(test, Images)  # noqa: S101
    threshold = calibrate(test.x, share)
    x = torch.stack([to_tensor(read_image(path), shape.channels, (shape.height, shape.width)) for path in images])
    for path, score in zip(images, made.score(x).tolist(), strict=True):
        verdict = {
            "image": str(path),
            "score": round(score, 3),
            "threshold": round(threshold, 3),
            "anomaly": score > threshold,
        }
        print(json.dumps({**verdict, "unit": made.score_unit}))


@app.command(epilog="Example: python -m generative tune vae --search width=64..512 --trials 20")
def tune(
    family: FamilyArgument,
    data: DataOption = "digits",
    search: Annotated[
        list[str] | None, typer.Option(help="A field and its range: width=64..512, pixels=binary|grey")
    ] = None,
    trials: Annotated[int, typer.Option(min=1)] = 20,
    steps: Annotated[int, typer.Option(min=10, help="Of each training.")] = 500,
    seed: SeedOption = 0,
) -> None:
    """Search for settings with a lower loss on a fifth of the training data; prints each try, and the best as --set."""
    from generative.tuning import SPACE, Trial
    from generative.tuning import tune as run

    space = SPACE | {key: str(value) for key, value in _parsed(search or []).items()}

    def told(trial: Trial) -> None:
        value = "ended early" if trial.value is None else f"{trial.value:.4f}"
        _notes.print(f"{trial.number}: {value} {json.dumps(trial.changes)}")

    best = run(family, data, space=space, trials=trials, steps=steps, seed=seed, report=told)
    print(" ".join(f"--set {field}={value}" for field, value in best.changes.items()))


@app.command(epilog="Example: python -m generative pack run/checkpoint.safetensors small.safetensors --half")
def pack(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of a training.")],
    target: Annotated[Path, typer.Argument(help="The file to write.")],
    half: Annotated[bool, typer.Option(help="Round the weights to 16 bits.")] = False,
) -> None:
    """Write a small file of a trained family that samples but cannot be trained on."""
    load(checkpoint, device="cpu").save(target, training=False, dtype=torch.float16 if half else None)
    print(f"{target} {target.stat().st_size:,} bytes")


def main() -> None:
    """Runs the command line; exits with 1 and a message without traceback where something can be mended."""
    try:
        app(prog_name="python -m generative")
    except (GenerativeError, OSError) as error:
        print("error:", error, file=sys.stderr)
        sys.exit(1)


def _parsed(changes: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise ConfigError(f"--set {change!r} is no field=value. Write for instance training.lr=0.001.")
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = value
    return found


def _folder(out: Path | None, family: str, data: str) -> Path:
    return out or Path("generative-out") / f"{family}-{Path(data).name}"


def _trained(family: str, data: str, source: Path | None, device: str) -> AnyFamily:
    """The family of the checkpoint that was named, else trained in the default folder, else shipped."""
    trained = _folder(None, family, data) / "checkpoint.safetensors"
    path = source or (trained if trained.is_file() else shipped(family, data))
    if path is None:
        raise CheckpointError(f"No {family} of {data} is trained: python -m generative train {family} --data {data}")
    made = load(path, device=device)
    if made.name != family:
        raise CheckpointError(f"{path} holds a {made.name!r}, not a {family!r}. Name that family.")
    _notes.print(f"{family} of {path}")
    return made


def _generator(family: AnyFamily, seed: int) -> torch.Generator:
    return torch.Generator(family.device).manual_seed(seed_of(seed, "sample", 0))


def _ability(family: AnyFamily, name: str) -> Callable[..., Any]:
    found: Callable[..., Any] | None = getattr(family, name, None)
    if found is None:
        raise UnsupportedError(f"{family.name} cannot {name}.")
    return found


def _example(test: Any, number: int) -> torch.Tensor:
    if number >= len(test):
        raise ConfigError(f"There is no test image {number}; they go from 0 to {len(test) - 1}.")
    found: torch.Tensor = test[torch.tensor([number])][0][0]
    return found


def _estimate(family: AnyFamily, split: Split, max_steps: int | None) -> None:
    """Prints the configuration, and the time that the whole run would take, from a few steps."""
    config: FamilyConfig = family.config
    print(json.dumps(json.loads(config.to_json()), indent=1))
    rates: list[float] = []
    family.fit(split.train, max_steps=_DRY_STEPS, report=lambda progress: rates.append(progress.rate or 0.0))
    total = max_steps or config.training.steps
    _notes.print(f"{total:,} steps, about {total / rates[-1]:.0f} s at {rates[-1]:.1f} steps a second")


@contextmanager
def _bar(label: str) -> Iterator[Callable[[Progress], None]]:
    """A bar with loss, rate and time left on a terminal; elsewhere a line every few seconds."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=_notes, disable=not _notes.is_terminal) as bar:
        task, told = bar.add_task(label), time.monotonic()

        def show(progress: Progress) -> None:
            nonlocal told
            logs = " ".join(f"{key} {value:.4g}" for key, value in progress.logs.items())
            bar.update(task, completed=progress.step, total=progress.total, description=f"{label} {logs}")
            if (
                bar.disable
                and time.monotonic() - told > _LINE_EVERY_S
                and progress.rate
                and progress.left_s is not None
            ):
                told = time.monotonic()
                _notes.print(
                    f"{progress.step}/{progress.total} {logs} {progress.rate:.1f}/s, {progress.left_s:.0f} s left"
                )

        yield show
