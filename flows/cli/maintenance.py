"""Commands that look after a workspace: its state, its models, what may be wrong in it and what may go.

No flow runs here, and no Ray.
"""

from functools import partial
from typing import Annotated

import typer

from flows.cli.options import (
    ArchiveArgument,
    DebugOption,
    FileOption,
    ModelArgument,
    OneArchiveOption,
    SetOption,
    WorkspaceOption,
    YesOption,
)
from flows.cli.runner import CommonOptions, configured, errors_in_one_block, fields, opened
from flows.logs import show_progress
from tasks.config.stages import VerifyConfig

upkeep_app = typer.Typer()  # its commands stand among the others


@upkeep_app.command(epilog=fields(VerifyConfig))
def verify(
    archive: ArchiveArgument,
    workspace: WorkspaceOption = None,
    config: FileOption = None,
    assign: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Read an archive's utterances, features and labels again, with all models and encoders, and compare their hashes.

    Exit code 1: something is not as its manifest says.
    """
    with errors_in_one_block(debug):
        from flows.reports.verify import verify_page
        from tasks.maintenance.verify import verify as read_again

        settings = configured(VerifyConfig, CommonOptions(workspace, config, assign), {"archive": archive})
        show_progress()
        report = read_again(settings)
        print(verify_page(archive, report))
        if report.faults:
            raise typer.Exit(1)


@upkeep_app.command()
def status(
    runs: Annotated[int, typer.Option("--runs", min=1, help="Most runs to list.")] = 10,
    workspace: WorkspaceOption = None,
    debug: DebugOption = False,
) -> None:
    """Show the last runs, what each archive has, and what is missing until its labels are those of production."""
    with errors_in_one_block(debug):
        from flows.reports.status import status_page
        from tasks.maintenance.status import workspace_status
        from tasks.registry.models import read_production
        from tasks.registry.runs import read_history

        where = opened(workspace)
        print(status_page(where.url, workspace_status(where), read_production(where), read_history(where, runs)))


@upkeep_app.command()
def prune(
    archive: OneArchiveOption = None,
    yes: YesOption = False,
    workspace: WorkspaceOption = None,
    debug: DebugOption = False,
) -> None:
    """Remove what no manifest and no pointer names any more, of archives, features, labels and finished trainings.

    While a run writes in the workspace it removes nothing, and names that run.
    """
    with errors_in_one_block(debug):
        from flows.reports.features import prune_page
        from tasks.features.prune import plan_and_prune
        from tasks.maintenance.prune import plan_workspace_prune

        where = opened(workspace)
        plan = partial(plan_workspace_prune, where, archive)
        removals = plan_and_prune(where, plan) if yes else plan()
        print(prune_page(removals, removed=yes))


@upkeep_app.command()
def models(workspace: WorkspaceOption = None, debug: DebugOption = False) -> None:
    """List the models: their scores, what they were made from, and which one is in production."""
    with errors_in_one_block(debug):
        from flows.reports.models import models_page

        print(models_page(opened(workspace)))


@upkeep_app.command()
def promote(model: ModelArgument, workspace: WorkspaceOption = None, debug: DebugOption = False) -> None:
    """Put a model into production, in one step."""
    with errors_in_one_block(debug):
        from flows.reports.models import production_line
        from tasks.registry.models import promote as put

        print(production_line(put(opened(workspace), model)))


@upkeep_app.command()
def rollback(workspace: WorkspaceOption = None, debug: DebugOption = False) -> None:
    """Put the model back into production that was there before."""
    with errors_in_one_block(debug):
        from flows.reports.models import production_line
        from tasks.registry.models import rollback as back

        print(production_line(back(opened(workspace))))
