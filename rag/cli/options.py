"""The application object and the options that several commands share."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from rag.compose import Fuente
from rag.types import MOST_CANDIDATES

app = typer.Typer(
    name="fuente",
    help="Ask questions of your own documents, on your own machine, and see where every statement comes from.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

IndexOption = Annotated[
    Path | None, typer.Option("--index", metavar="DIR", help="Folder of the index [default: fuente-index].")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
PassagesOption = Annotated[int | None, typer.Option("-k", min=1, max=100, help="Number of passages.")]

DiversityOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="Prefer passages unlike those before them; 0 goes by rank alone.")
]
PerSourceOption = Annotated[int | None, typer.Option(min=0, help="Most passages of one document; 0 is no limit.")]

CautionOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="How sure to be before answering: 0 is bold, 1 refuses everything.")
]
StyleOption = Annotated[
    str | None, typer.Option(help="full writes sentences, short gives the fewest words of a passage that answer.")
]


ExamplesOption = Annotated[
    str | None, typer.Option(help="Show the model examples of answers: neutral, or a TOML file of yours.")
]
ReasoningOption = Annotated[
    bool | None,
    typer.Option("--reasoning/--no-reasoning", help="Have the model think step by step first."),
]
CandidatesOption = Annotated[
    int | None,
    typer.Option(min=1, max=MOST_CANDIDATES, help="Write so many answers and show the one that is supported best."),
]


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"fuente {version('fuente')}")
        raise typer.Exit


@app.callback()
def _configure(
    config: Annotated[
        Path | None, typer.Option(help="Configuration file [default: fuente.toml in this folder, if there is one].")
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Tell the version and end.")
    ] = False,
) -> None:
    if config is not None:
        os.environ["FUENTE_CONFIG"] = str(config)


def configured(index: Path | None, **sections: dict[str, Any]) -> Fuente:
    """The application with what was given on the command line; values that are None were not given."""
    flags: dict[str, Any] = {
        name: given
        for name, values in sections.items()
        if (given := {key: value for key, value in values.items() if value is not None})
    }
    if index is not None:
        flags["index"] = index
    return Fuente.configured(**flags)
