"""The options that narrow a question to some of the documents."""

import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from index.filters import Filter
from index.manifest import current_number
from index.store import Store
from index.types import SourceInfo
from rag.compose import Fuente
from rag.errors import EmptyScopeError
from rag.sources import named_path

_Several = list[str] | None


@dataclass(frozen=True, slots=True)
class Scope:
    """What was given on the command line; each field is an option."""

    collection: Annotated[_Several, typer.Option(metavar="NAME", help="Only of this collection; may be repeated.")] = (
        None
    )
    language: Annotated[
        _Several, typer.Option(metavar="CODE", help="Only documents in this language, such as es; may be repeated.")
    ] = None
    source: Annotated[
        _Several,
        typer.Option(
            metavar="PATTERN", help="Only this file, folder, file name or pattern such as '*.pdf'; may be repeated."
        ),
    ] = None
    since: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="Only files changed on this day or time, or later.")
    ] = None
    until: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only files changed up to the end of this day, or before a time.")
    ] = None
    where: Annotated[
        _Several, typer.Option(metavar="KEY=VALUE", help="Only documents with this in their metadata; may be repeated.")
    ] = None

    def __str__(self) -> str:
        options = {
            "--collection": self.collection,
            "--language": self.language,
            "--source": self.source,
            "--from": self.since and [self.since],
            "--until": self.until and [self.until],
            "--where": self.where,
        }
        return " ".join(f"{name} {value}" for name, values in options.items() for value in values or ())


def scoped(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of a scope, which it is given as `scope`."""
    options = inspect.signature(Scope).parameters
    own = inspect.signature(command).parameters

    @wraps(command)
    def with_options(**given: Any) -> None:
        scope = Scope(**{name: given.pop(name) for name in options})
        command(**given, scope=scope)

    # Typer makes the options of a command out of its signature.
    kept = [parameter for name, parameter in own.items() if name != "scope"]
    added = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in options.values()]
    vars(with_options)["__signature__"] = inspect.Signature([*kept, *added])
    return with_options


def filter_of(
    scope: Scope, fuente: Fuente, infos: Sequence[SourceInfo], *, folder: Path | None = None
) -> Filter | None:
    """The filter that the options stand for; None when there is none.

    `folder` has the store that is asked, by default that of the texts. `infos` are the sources of the index.
    Raises: typer.BadParameter; EmptyScopeError when no document meets it.
    """
    where = Filter(
        collections=tuple(scope.collection or ()),
        languages=tuple(code.lower() for code in scope.language or ()),
        sources=tuple(_stored_name(name, infos) for name in scope.source or ()),
        modified_from=_moment(scope.since, "--from"),
        modified_until=_moment(scope.until, "--until", ends=True),
        metadata=tuple(_pair(text) for text in scope.where or ()),
    )
    if not where:
        return None
    _check_known("collection", where.collections, {info.collection for info in infos})
    _check_known("language", where.languages, {info.language for info in infos})
    folder = folder or fuente.config.index
    if not Store.open(folder / "fuente.db").matching(where, current_number(folder)):
        raise EmptyScopeError(f"no document meets {scope}. {_contents(infos)}")
    return where


def _check_known(kind: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            there_is = ", ".join(sorted(known)) or "none, because the index is empty"
            raise EmptyScopeError(f"no document is of {kind} {name!r}. There is: {there_is}")


def _contents(infos: Sequence[SourceInfo]) -> str:
    collections = ", ".join(sorted({info.collection for info in infos}))
    languages = ", ".join(sorted({info.language for info in infos if info.language}))
    return (
        f"There are the collections {collections} and the languages {languages};"
        " `fuente status --sources` lists the documents"
    )


def _stored_name(name: str, infos: Sequence[SourceInfo]) -> str:
    """The absolute path when the name is a file or folder of the index from here; otherwise it is left as it is."""
    if not name:
        return name
    path = named_path(name)
    return str(path) if any(Path(info.source).is_relative_to(path) for info in infos) else name


def _moment(text: str | None, option: str, *, ends: bool = False) -> datetime | None:
    """The begin of a day, or its end, or a time, in the local time zone unless it tells its own."""
    if text is None:
        return None
    try:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return datetime.fromisoformat(text).astimezone()
        return datetime.combine(day + timedelta(days=ends), time()).astimezone()
    except (ValueError, OverflowError) as error:
        form = "a date such as 2026-01-31 or a time such as 2026-01-31T18:30"
        raise typer.BadParameter(f"{text!r} must be {form}", param_hint=option) from error


def _pair(text: str) -> tuple[str, str]:
    key, mark, value = text.partition("=")
    if not key or not mark:
        raise typer.BadParameter(f"{text!r} must have the form KEY=VALUE", param_hint="--where")
    return key, value
