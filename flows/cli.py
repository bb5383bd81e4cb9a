"""`sdt`: each command runs its flow, `sdt query` reads what the flows wrote.

Nothing heavy is imported up here: a flow is imported when its command runs, so help and queries come at once.
"""

import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer
from pydantic import BaseModel

from flows.options import (
    ArchiveArgument,
    ArchiveOption,
    DebugOption,
    FileOption,
    KindArgument,
    ModelOption,
    PathArgument,
    RecipeOption,
    SeedOption,
    SetOption,
    WorkspaceOption,
)
from flows.runtime import prepare_environment, show_progress
from flows.settings import assignments_layer, build_config, describe_fields, file_layer, options_layer, recipe_layer
from tasks.config import (
    DemoConfig,
    ExtractConfig,
    FinetuneConfig,
    IngestConfig,
    LabelConfig,
    PipelineConfig,
    RunSettings,
    TrainConfig,
)
from tasks.errors import WorkflowError

if TYPE_CHECKING:
    import polars as pl

Settings = TypeVar("Settings", bound=RunSettings)

log = logging.getLogger("sdt.cli")

app = typer.Typer(
    name="sdt",
    help="Emotion labels for large conversation archives: ingest, extract, train, label, query.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_DEMO_ROWS = """
    SELECT l.date, l.conversation_id, l.turn, u.speaker, u.emotion AS annotated, l.emotion, l.confidence, l.status
    FROM labels l JOIN utterances u ON l.conversation_id = u.conversation_id AND l.turn = u.turn
    ORDER BY l.date, l.conversation_id, l.turn LIMIT 8
"""
_BY_EMOTION = (
    "SELECT emotion, COUNT(*) AS n, AVG(confidence) AS confidence FROM labels GROUP BY emotion ORDER BY n DESC"
)


class Given(NamedTuple):
    """Where a configuration may come from, besides a command's own options."""

    workspace: str | None
    config: Path | None
    assign: list[str] | None
    recipe: str | None = None


def main() -> None:
    """Run the command line; a wrong option is an error like any other, with exit code 1."""
    try:
        app()
    except SystemExit as ending:
        sys.exit(1 if ending.code == 2 else ending.code)


@contextmanager
def _errors_in_one_block(debug: bool) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if debug:
            raise
        unexpected = f"{type(error).__name__}: {error}\n  the traceback is shown with --debug"
        print(f"error: {error if isinstance(error, WorkflowError) else unexpected}", file=sys.stderr)
        raise typer.Exit(1) from None


def _fields(kind: type[BaseModel]) -> str:
    """The end of a command's help: every field for --set and --config."""
    lines = [
        f"  {path} = {default or '(required)'}\n      {meaning}" for path, default, meaning in describe_fields(kind)
    ]
    return "\b\n" + "\n".join(["Fields for --set and --config:", *lines])


@app.command(epilog=_fields(IngestConfig))
def ingest(
    kind: KindArgument,
    path: PathArgument,
    archive: ArchiveOption,
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Bring source files in as an archive of utterances."""
    with _errors_in_one_block(debug):
        source = {"kind": kind, "path": path, "archive": archive}
        settings = _run("ingest", IngestConfig, Given(workspace, config, assign), source)
        _next(f"sdt extract {archive}", settings)


@app.command(epilog=_fields(ExtractConfig))
def extract(
    archive: ArchiveArgument,
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Make the features of every utterance of an archive."""
    with _errors_in_one_block(debug):
        settings = _run("extract", ExtractConfig, Given(workspace, config, assign), {"archive": archive})
        _next(f"sdt train {archive}", settings)


@app.command(epilog=_fields(TrainConfig))
def train(
    archive: ArchiveArgument,
    recipe: RecipeOption = None,
    seed: SeedOption = None,
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Train a model on the annotated conversations of an archive."""
    with _errors_in_one_block(debug):
        given = Given(workspace, config, assign, recipe)
        settings = _run("train", TrainConfig, given, {"archive": archive, "training.optim.seed": seed})
        _next(f"sdt label {archive}", settings)


@app.command(name="finetune-text", epilog=_fields(FinetuneConfig))
def finetune_text(
    archive: ArchiveArgument,
    seed: SeedOption = None,
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Fine-tune a text encoder on the annotated conversations of an archive."""
    with _errors_in_one_block(debug):
        given = Given(workspace, config, assign)
        settings = _run("finetune_text", FinetuneConfig, given, {"archive": archive, "seed": seed})
        _next(f"sdt extract {archive} --set extractors.text=finetuned:ID", settings)


@app.command(epilog=_fields(LabelConfig))
def label(
    archive: ArchiveArgument,
    model: ModelOption = None,
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Label every utterance of an archive."""
    with _errors_in_one_block(debug):
        settings = _run("label", LabelConfig, Given(workspace, config, assign), {"archive": archive, "model": model})
        _next(f'sdt query --archive {archive} "{_BY_EMOTION}"', settings)


@app.command(epilog=_fields(PipelineConfig))
def pipeline(
    kind: KindArgument,
    path: PathArgument,
    archive: ArchiveOption,
    recipe: RecipeOption = None,
    seed: SeedOption = None,
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Ingest, extract, train and label in turn."""
    with _errors_in_one_block(debug):
        given = Given(workspace, config, assign, recipe)
        options = {"kind": kind, "path": path, "archive": archive, "training.optim.seed": seed}
        settings = _run("pipeline", PipelineConfig, given, options)
        _next(f'sdt query --archive {archive} "{_BY_EMOTION}"', settings)


@app.command(epilog=_fields(DemoConfig))
def demo(
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Make a small synthetic archive and run the whole pipeline over it."""
    with _errors_in_one_block(debug):
        settings = _run("demo", DemoConfig, Given(workspace, config, assign, "demo"), {})
        print()
        _query(_DEMO_ROWS, settings.workspace, settings.archive, limit=8)
        _next(f'sdt query "{_BY_EMOTION}"', settings)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement, as Polars knows SQL.")],
    archive: Annotated[str | None, typer.Option("--archive", metavar="NAME", help="Absent: all archives.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write .csv, .json, .ndjson or .parquet instead.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most rows to print.")] = 50,
    workspace: WorkspaceOption = None,
    debug: DebugOption = False,
) -> None:
    """Run SQL over the tables `labels`, `utterances` and `rejected`.

    A label's scores are reached with a dot: SELECT probabilities.joy FROM labels.
    """
    with _errors_in_one_block(debug):
        _query(sql, workspace or RunSettings.model_fields["workspace"].default, archive, limit, out)


def _run(flow: str, kind: type[Settings], given: Given, options: dict[str, Any]) -> Settings:
    """Add up the configuration, run the flow with it, print its page."""
    layers = recipe_layer(given.recipe), file_layer(given.config), assignments_layer(given.assign or ())
    settings = build_config(kind, *layers, options_layer(options | {"workspace": given.workspace}))
    prepare_environment()
    show_progress()
    log.info("starting")
    result = getattr(import_module(f"flows.{flow}"), f"{flow}_flow")(settings)
    page = getattr(import_module("flows.artifacts"), f"{flow}_page")
    print(page(settings, result))
    return settings


def _next(command: str, settings: RunSettings) -> None:
    elsewhere = settings.workspace != RunSettings.model_fields["workspace"].default
    print(f"\nNext: {command}{f' --workspace {shlex.quote(settings.workspace)}' if elsewhere else ''}")


def _query(sql: str, workspace: str, archive: str | None, limit: int, out: Path | None = None) -> None:
    from tasks.query import run_query, write_result
    from tasks.workspace import Workspace

    result = run_query(Workspace(workspace), sql, archive)
    if out is None:
        _print_table(result, limit)
    else:
        write_result(result, out)
        print(f"written to {out}")


def _print_table(rows: "pl.LazyFrame", limit: int) -> None:
    import polars as pl

    found = rows.head(limit + 1).collect(engine="streaming")
    whole = pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=-1, fmt_table_cell_list_len=-1, fmt_str_lengths=60)
    with whole, pl.Config(tbl_hide_dataframe_shape=True):
        print(found.head(limit))
    if len(found) > limit:
        print(f"the first {limit} rows; see more with --limit N, or write all with --out FILE", file=sys.stderr)
