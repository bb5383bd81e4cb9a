"""`sdt`: each command runs its flow, `sdt query` reads what the flows wrote.

Nothing heavy is imported up here: a flow is imported when its command runs, so help and queries come at once.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.commands import (
    Given,
    configured,
    errors_in_one_block,
    exit_with_faults,
    fields,
    run,
    say_next,
    show_query,
)
from flows.features_cli import features_app
from flows.log_lines import show_progress
from flows.options import (
    AgainstOption,
    ArchiveArgument,
    ArchiveOption,
    DayOption,
    DebugOption,
    FileOption,
    KindArgument,
    ModelArgument,
    ModelOption,
    OneArchiveOption,
    PathArgument,
    RecipeOption,
    SeedOption,
    SetOption,
    SinceOption,
    UntilOption,
    WorkspaceOption,
    YesOption,
)
from flows.runtime import prepare_environment
from tasks.config import (
    AblateConfig,
    DemoConfig,
    EvaluateConfig,
    ExtractConfig,
    FinetuneConfig,
    IngestConfig,
    LabelConfig,
    PipelineConfig,
    RunSettings,
    TrainConfig,
    VerifyConfig,
)
from tasks.errors import WorkflowError

app = typer.Typer(
    name="sdt",
    help="Emotion labels for large conversation archives: ingest, extract, train, evaluate, label, query.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(features_app)

DEFAULT_WORKSPACE: str = RunSettings.model_fields["workspace"].default

_DEMO_ROWS = """
    SELECT l.date, l.conversation_id, l.turn, u.speaker, u.emotion AS annotated, l.emotion, l.confidence, l.status
    FROM labels l JOIN utterances u ON l.conversation_id = u.conversation_id AND l.turn = u.turn
    ORDER BY l.date, l.conversation_id, l.turn LIMIT 8
"""
_BY_EMOTION = (
    "SELECT emotion, COUNT(*) AS n, AVG(confidence) AS confidence FROM labels GROUP BY emotion ORDER BY n DESC"
)


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
    """Bring source files in as an archive of utterances."""
    with errors_in_one_block(debug):
        source = {"kind": kind, "path": path, "archive": archive}
        settings, _ = run("ingest", IngestConfig, Given(workspace, config, assign), source)
        say_next(f"sdt {'train' if kind == 'sdt-pickle' else 'extract'} {archive}", settings)


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
        given = Given(workspace, config, assign)
        settings, features = run("extract", ExtractConfig, given, {"archive": archive})
        say_next(f"sdt train {archive}", settings)
        exit_with_faults(features)


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
        given = Given(workspace, config, assign, recipe)
        settings, _ = run("train", TrainConfig, given, {"archive": archive, "training.optim.seed": seed})
        say_next(f"sdt label {archive}", settings)


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
        given = Given(workspace, config, assign)
        settings, _ = run("finetune_text", FinetuneConfig, given, {"archive": archive, "seed": seed})
        say_next(f"sdt extract {archive} --set extractors.text=finetuned:ID", settings)


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
        given = Given(workspace, config, assign)
        settings, _ = run("label", LabelConfig, given, {"archive": archive, "model": model, **days})
        say_next(f'sdt query --archive {archive} "{_BY_EMOTION}"', settings)


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
        given = Given(workspace, config, assign, recipe)
        run("evaluate", EvaluateConfig, given, {"archive": archive, "against": against})


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
        given = Given(workspace, config, assign, recipe)
        run("ablate", AblateConfig, given, {"archive": archive})


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

    Exit code 3: completed, but files that crash or hang their decoder were set aside.
    """
    with errors_in_one_block(debug):
        given = Given(workspace, config, assign, recipe)
        options = {"kind": kind, "path": path, "archive": archive, "training.optim.seed": seed}
        settings, report = run("pipeline", PipelineConfig, given, options)
        say_next(f'sdt query --archive {archive} "{_BY_EMOTION}"', settings)
        exit_with_faults(report.features)


@app.command(epilog=fields(DemoConfig))
def demo(
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Make a small synthetic archive and run the whole pipeline over it."""
    with errors_in_one_block(debug):
        settings, _ = run("demo", DemoConfig, Given(workspace, config, assign, "demo"), {})
        print()
        show_query(_DEMO_ROWS, settings.workspace, settings.archive, limit=8)
        say_next(f'sdt query "{_BY_EMOTION}"', settings)


@app.command(epilog=fields(VerifyConfig))
def verify(
    archive: ArchiveArgument,
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Read an archive's utterances, features and labels again and compare them with their manifests.

    Exit code 1: something is not as its manifest says.
    """
    with errors_in_one_block(debug):
        from flows.verify_pages import verify_page
        from tasks.verify import verify as read_again

        settings = configured(VerifyConfig, Given(workspace, config, assign), {"archive": archive})
        show_progress()
        report = read_again(settings)
        print(verify_page(archive, report))
        if report.faults:
            raise typer.Exit(1)


@app.command()
def status(
    runs: Annotated[int, typer.Option("--runs", min=1, help="Most runs to list.")] = 10,
    workspace: WorkspaceOption = None,
    debug: DebugOption = False,
) -> None:
    """Show the last runs, what each archive has, and what is missing until its labels are those of production."""
    with errors_in_one_block(debug):
        prepare_environment()
        from flows.runs import last_runs
        from flows.status_pages import status_page
        from tasks.models import read_production
        from tasks.status import workspace_status
        from tasks.workspace import Workspace

        where = Workspace(workspace or DEFAULT_WORKSPACE)
        print(status_page(where.url, workspace_status(where), read_production(where), last_runs(runs)))


@app.command()
def prune(
    archive: OneArchiveOption = None,
    yes: YesOption = False,
    workspace: WorkspaceOption = None,
    debug: DebugOption = False,
) -> None:
    """Remove what no manifest and no pointer names any more, of archives, features, labels and finished trainings.

    Do it while nothing runs: a stage that began before the last change may still be reading what is superseded.
    """
    with errors_in_one_block(debug):
        from flows.feature_pages import prune_page
        from tasks.prune import plan_workspace_prune
        from tasks.prune_features import prune as remove
        from tasks.workspace import Workspace

        where = Workspace(workspace or DEFAULT_WORKSPACE)
        removals = plan_workspace_prune(where, archive)
        if yes:
            remove(where, removals)
        print(prune_page(removals, removed=yes))


@app.command()
def models(workspace: WorkspaceOption = None, debug: DebugOption = False) -> None:
    """List the models: their scores, what they were made from, and which one is in production."""
    with errors_in_one_block(debug):
        from flows.model_pages import models_page

        print(models_page(workspace or DEFAULT_WORKSPACE))


@app.command()
def promote(model: ModelArgument, workspace: WorkspaceOption = None, debug: DebugOption = False) -> None:
    """Put a model into production, in one step."""
    with errors_in_one_block(debug):
        from flows.model_pages import production_line
        from tasks.models import promote as put
        from tasks.workspace import Workspace

        print(production_line(put(Workspace(workspace or DEFAULT_WORKSPACE), model)))


@app.command()
def rollback(workspace: WorkspaceOption = None, debug: DebugOption = False) -> None:
    """Put the model back into production that was there before."""
    with errors_in_one_block(debug):
        from flows.model_pages import production_line
        from tasks.models import rollback as back
        from tasks.workspace import Workspace

        print(production_line(back(Workspace(workspace or DEFAULT_WORKSPACE))))


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement, as Polars knows SQL.")],
    archive: OneArchiveOption = None,
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
    with errors_in_one_block(debug):
        show_query(sql, workspace or DEFAULT_WORKSPACE, archive, limit, out)
