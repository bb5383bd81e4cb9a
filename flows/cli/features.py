"""`sdt features`: which features there are, what they look like, converting them, and removing what nothing needs.

No flow runs here, and no Ray.
"""

from functools import partial
from typing import Annotated

import typer

from flows.cli.options import ArchiveArgument, DebugOption, OneArchiveOption, WorkspaceOption, YesOption
from flows.cli.runner import errors_in_one_block, opened

features_app = typer.Typer(
    name="features",
    help="See which features there are, what they look like, and convert or remove them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ExtractorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--extractor",
        metavar="FINGERPRINT",
        help="All features by this extractor go, even where a model takes them; may be repeated.",
    ),
]


@features_app.command(name="list")
def list_features(
    archive: OneArchiveOption = None, workspace: WorkspaceOption = None, debug: DebugOption = False
) -> None:
    """Every extractor's features of every archive, and which models take them."""
    with errors_in_one_block(debug):
        from flows.reports.features import list_page
        from tasks.features.catalog import feature_sets

        print(list_page(feature_sets(opened(workspace), archive)))


@features_app.command()
def describe(archive: ArchiveArgument, workspace: WorkspaceOption = None, debug: DebugOption = False) -> None:
    """How many utterances have a vector and why others have none, how the values spread, what they cost."""
    with errors_in_one_block(debug):
        from flows.reports.features import describe_page
        from tasks.features.describe import describe_features

        print(describe_page(archive, describe_features(opened(workspace), archive)))


@features_app.command()
def convert(archive: ArchiveArgument, workspace: WorkspaceOption = None, debug: DebugOption = False) -> None:
    """Write features of earlier versions anew, so that they are read faster; vectors and models stay as they are."""
    with errors_in_one_block(debug):
        from flows.reports.features import convert_page
        from tasks.features.convert import convert_features

        print(convert_page(archive, convert_features(opened(workspace), archive)))


@features_app.command()
def prune(
    archive: OneArchiveOption = None,
    extractor: ExtractorOption = None,
    unused: Annotated[bool, typer.Option("--unused", help="All features that no model takes go, too.")] = False,
    yes: YesOption = False,
    workspace: WorkspaceOption = None,
    debug: DebugOption = False,
) -> None:
    """Remove superseded files and features of archives that are gone.

    While a run writes in the workspace it removes nothing, and names that run.
    """
    with errors_in_one_block(debug):
        from flows.reports.features import prune_page
        from tasks.features.prune import plan_and_prune, plan_prune

        place = opened(workspace)
        plan = partial(plan_prune, place, archive, extractor or (), unused)
        removals = plan_and_prune(place, plan) if yes else plan()
        print(prune_page(removals, removed=yes))
