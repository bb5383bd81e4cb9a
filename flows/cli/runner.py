"""What every command of `sdt` does: add up its configuration, run its flow, print its page, or one block of error."""

import logging
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import typer
from pydantic import BaseModel

from flows.cli.commands import Command
from flows.cli.config_layers import (
    assignments_layer,
    build_config,
    describe_fields,
    file_layer,
    options_layer,
    recipe_layer,
)
from flows.logs import show_progress
from flows.runtime import prepare_environment
from tasks.config.stages import DEFAULT_WORKSPACE, ExtractConfig, RunSettings
from tasks.errors import WorkflowError

if TYPE_CHECKING:
    import polars as pl

    from tasks.storage.workspace import Workspace

Settings = TypeVar("Settings", bound=RunSettings)
Result = TypeVar("Result")

log = logging.getLogger("sdt.cli")


class CommonOptions(NamedTuple):
    """The options of every command that a configuration comes from, besides its own."""

    workspace: str | None
    config: Path | None
    assign: list[str] | None
    recipe: str | None = None


@contextmanager
def errors_in_one_block(debug: bool) -> Iterator[None]:
    try:
        yield
    except typer.Exit:
        raise
    except Exception as error:
        if debug:
            raise
        unexpected = f"{type(error).__name__}: {error}\n  the traceback is shown with --debug"
        print(f"error: {error if isinstance(error, WorkflowError) else unexpected}", file=sys.stderr)
        raise typer.Exit(1) from None


def fields(kind: type[BaseModel]) -> str:
    """The end of a command's help: every field for --set and --config."""
    lines = [
        f"  {path} = {default or '(required)'}\n      {meaning}" for path, default, meaning in describe_fields(kind)
    ]
    return "\b\n" + "\n".join(["Fields for --set and --config:", *lines])


def configured(kind: type[Settings], common: CommonOptions, options: dict[str, Any]) -> Settings:
    """The configuration that recipe, file, assignments and options add up to."""
    layers = recipe_layer(common.recipe), file_layer(common.config), assignments_layer(common.assign or ())
    return build_config(kind, *layers, options_layer(options | {"workspace": common.workspace}))


class Finished(NamedTuple, Generic[Settings, Result]):
    """A run that came to its end: what it was configured with, what it returned, and how the command is to end."""

    settings: Settings
    result: Result
    exit_code: int = 0


def run(
    command: Command[Settings, Result], common: CommonOptions, options: dict[str, Any]
) -> Finished[Settings, Result]:
    """Add up the configuration, run the flow with it and print its page.

    Raises:
        WorkflowError: the archive is not there, which is said before anything is started; or what the flow raises.
    """
    settings = configured(command.config, common, options)
    prepare_environment()
    show_progress()
    log.info("starting")
    if command.needs_archive:
        _check_archive(settings)
    with _ended_in_order():
        result, ended = command.flow().run(settings)
    outcome = ended.outcome
    if outcome is not None:
        print(outcome.page)
        if outcome.message:
            print(f"\n{outcome.state}: {outcome.message}")
    return Finished(settings, result, outcome.exit_code if outcome else 0)


def end(finished: Finished[Settings, Result], next_command: str | None = None) -> None:
    """Name the next command, and end with an exit code of its own where the run's state has one.

    Raises:
        typer.Exit: it has.
    """
    if next_command is not None:
        elsewhere = finished.settings.workspace != DEFAULT_WORKSPACE
        workspace = f" --workspace {shlex.quote(finished.settings.workspace)}" if elsewhere else ""
        print(f"\nNext: {next_command}{workspace}")
    if finished.exit_code:
        raise typer.Exit(finished.exit_code)


def after_extract(settings: ExtractConfig) -> str | None:
    """The command that can use the features: training needs annotated utterances, labelling a model."""
    from tasks.archive.manifests import read_archive
    from tasks.registry.models import production
    from tasks.storage.workspace import Workspace

    workspace = Workspace(settings.workspace)
    if read_archive(workspace, settings.archive).counts.get("labelled"):
        return f"sdt train {settings.archive}{settings.extractors.assignments()}"
    if production(workspace) is not None:
        return f"sdt label {settings.archive}"
    print("\nNo utterance is annotated, and there is no model: train one on another archive, then label this one.")
    return None


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Cancel what is under way on SIGTERM as on Ctrl-C, and say that the same command goes on from there.

    Raises:
        typer.Exit: with the exit code of the signal.
    """

    def interrupt(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as ending:
        by, number = ("Ctrl-C", signal.SIGINT) if isinstance(ending, KeyboardInterrupt) else ("SIGTERM", signal.SIGTERM)
        print(f"interrupted by {by}: what is finished is kept, the same command goes on from there", file=sys.stderr)
        raise typer.Exit(128 + number) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_archive(settings: RunSettings) -> None:
    from tasks.archive.manifests import read_archive
    from tasks.storage.workspace import Workspace

    read_archive(Workspace(settings.workspace), settings.archive)


def opened(workspace: str | None) -> "Workspace":
    """The workspace of a command that has no configuration."""
    from tasks.storage.workspace import Workspace

    return Workspace(workspace or DEFAULT_WORKSPACE)


def show_query(
    sql: str,
    workspace: "Workspace",
    archive: str | None,
    limit: int,
    out: Path | None = None,
    files: bool = False,
) -> None:
    from tasks.query import run_query, write_result

    result = run_query(workspace, sql, archive, files)
    if out is None:
        _print_table(result, limit)
    else:
        write_result(result, out)
        print(f"written to {out}")


def _print_table(rows: "pl.LazyFrame", limit: int) -> None:
    import polars as pl

    from sdt_model.markdown import visible

    shown = rows.head(limit + 1).collect(engine="streaming")
    whole = pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=-1, fmt_table_cell_list_len=-1, fmt_str_lengths=60)
    with whole, pl.Config(tbl_hide_dataframe_shape=True):
        lines = str(shown.head(limit)).replace("\t", " ").split("\n")
    print("\n".join(map(visible, lines)))
    if len(shown) > limit:
        print(f"the first {limit} rows; see more with --limit N, or write all with --out FILE", file=sys.stderr)
