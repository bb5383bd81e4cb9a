"""`sdt`: each command runs its flow, `sdt query` reads what the flows wrote.

Nothing heavy is imported up here: a flow is imported when its command runs, so help and queries come at once.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import commands
from flows.cli.features import features_app
from flows.cli.maintenance import upkeep_app
from flows.cli.options import (
    AgainstOption,
    ArchiveArgument,
    ArchiveOption,
    DayOption,
    DebugOption,
    FileOption,
    KindArgument,
    ModelOption,
    OneArchiveOption,
    PathArgument,
    RecipeOption,
    SeedOption,
    SetOption,
    SinceOption,
    UntilOption,
    WorkspaceOption,
)
from flows.cli.runner import CommonOptions, after_extract, end, errors_in_one_block, fields, opened, run, show_query
from tasks.config.flows import DemoConfig, PipelineConfig
from tasks.config.stages import ExtractConfig, IngestConfig, LabelConfig
from tasks.config.training import AblateConfig, EvaluateConfig, FinetuneConfig, TrainConfig
from tasks.errors import WorkflowError

app = typer.Typer(
    name="sdt",
    help="Emotion labels for large conversation archives: ingest, extract, train, evaluate, label, query.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(upkeep_app)
app.add_typer(features_app)

_DEMO_ROWS = """
    SELECT l.date, l.conversation_id, l.turn, u.speaker, u.emotion AS annotated, l.emotion, l.confidence, l.status
    FROM labels l JOIN utterances u ON l.conversation_id = u.conversation_id AND l.turn = u.turn
    ORDER BY l.date, l.conversation_id, l.turn LIMIT 8
"""
_BY_EMOTION = (
    "SELECT emotion, COUNT(*) AS n, AVG(confidence) AS confidence FROM labels GROUP BY emotion ORDER BY n DESC"
)
_REASONS = "SELECT reason, COUNT(*) AS n FROM rejected GROUP BY reason ORDER BY n DESC"


def main() -> None:
    """Run the command line; a wrong option is an error like any other, with exit code 1."""
    try:
        app()
    except SystemExit as ending:
        sys.exit(1 if ending.code == 2 else ending.code)


@app.command(epilog=fields(IngestConfig))
def ingest(
    kind: KindArgument,
    path: PathArgument,
    archive: ArchiveOption,
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Bring source files in as an archive of utterances.

    Exit code 4: completed, but more rows were rejected, or lost their time, than `most_rejected` allows.
    """
    with errors_in_one_block(debug):
        source = {"kind": kind, "path": path, "archive": archive}
        finished = run(commands.INGEST, CommonOptions(workspace, config, assign), source)
        onward = f"sdt {'train' if kind == 'sdt-pickle' else 'extract'} {archive}"
        end(finished, f'sdt query --archive {archive} "{_REASONS}"' if finished.exit_code else onward)


@app.command(epilog=fields(ExtractConfig))
def extract(
    archive: ArchiveArgument,
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Make the features of every utterance of an archive.

    Exit code 3: completed, but files that crash or hang their decoder were set aside.
    """
    with errors_in_one_block(debug):
        finished = run(commands.EXTRACT, CommonOptions(workspace, config, assign), {"archive": archive})
        end(finished, after_extract(finished.settings))


@app.command(epilog=fields(TrainConfig))
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
    with errors_in_one_block(debug):
        common = CommonOptions(workspace, config, assign, recipe)
        end(run(commands.TRAIN, common, {"archive": archive, "training.optim.seed": seed}), f"sdt label {archive}")


@app.command(name="finetune-text", epilog=fields(FinetuneConfig))
def finetune_text(
    archive: ArchiveArgument,
    seed: SeedOption = None,
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Fine-tune a text encoder on the annotated conversations of an archive."""
    with errors_in_one_block(debug):
        finished = run(
            commands.FINETUNE_TEXT, CommonOptions(workspace, config, assign), {"archive": archive, "seed": seed}
        )
        end(finished, f"sdt extract {archive} --set extractors.text=finetuned:{finished.result.encoder_id}")


@app.command(epilog=fields(LabelConfig))
def label(
    archive: ArchiveArgument,
    model: ModelOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    date: DayOption = None,
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Label every utterance of an archive, or those of some days.

    A conversation belongs to the UTC day on which it began. Labels that are there, of the same utterances and by the
    same model, stay.
    """
    with errors_in_one_block(debug):
        if date and (since or until):
            raise WorkflowError("--date is one day alone: give it, or --since and --until")
        days = {"since": since or date, "until": until or date}
        finished = run(
            commands.LABEL, CommonOptions(workspace, config, assign), {"archive": archive, "model": model, **days}
        )
        end(finished, f'sdt query --archive {archive} "{_BY_EMOTION}"')


@app.command(epilog=fields(EvaluateConfig))
def evaluate(
    archive: ArchiveArgument,
    recipe: RecipeOption = None,
    against: AgainstOption = None,
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Train models of several seeds and say how good they are, and how sure that is."""
    with errors_in_one_block(debug):
        common = CommonOptions(workspace, config, assign, recipe)
        end(run(commands.EVALUATE, common, {"archive": archive, "against": against}))


@app.command(epilog=fields(AblateConfig))
def ablate(
    archive: ArchiveArgument,
    recipe: RecipeOption = None,
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Train the model without one part at a time and say what each part is worth."""
    with errors_in_one_block(debug):
        common = CommonOptions(workspace, config, assign, recipe)
        end(run(commands.ABLATE, common, {"archive": archive}))


@app.command(epilog=fields(PipelineConfig))
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
    """Ingest, extract, train and label in turn.

    Exit code 3: completed, but files that crash or hang their decoder were set aside. 4: completed, but more rows were
    rejected, or lost their time, than `most_rejected` allows.
    """
    with errors_in_one_block(debug):
        common = CommonOptions(workspace, config, assign, recipe)
        options = {"kind": kind, "path": path, "archive": archive, "training.optim.seed": seed}
        end(run(commands.PIPELINE, common, options), f'sdt query --archive {archive} "{_BY_EMOTION}"')


@app.command(epilog=fields(DemoConfig))
def demo(
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Make a small synthetic archive and run the whole pipeline over it."""
    with errors_in_one_block(debug):
        finished = run(commands.DEMO, CommonOptions(workspace, config, assign, "demo"), {})
        print()
        show_query(_DEMO_ROWS, opened(finished.settings.workspace), finished.settings.archive, limit=8)
        end(finished, f'sdt query "{_BY_EMOTION}"')
        print("With Prefect's page, from the root of the checkout: make serve")


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement, as Polars knows SQL.")],
    archive: OneArchiveOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write .csv, .json, .ndjson or .parquet instead.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most rows to print.")] = 50,
    files: Annotated[
        bool, typer.Option("--allow-files", help="Let it read files, such as read_csv('x.csv'), as you may.")
    ] = False,
    workspace: WorkspaceOption = None,
    debug: DebugOption = False,
) -> None:
    """Run SQL over the tables `labels`, `utterances` and `rejected`.

    A label's scores are reached with a dot: SELECT probabilities.joy FROM labels.
    """
    with errors_in_one_block(debug):
        show_query(sql, opened(workspace), archive, limit, out, files)
