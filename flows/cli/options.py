"""Arguments and options of the command line, each defined once and shared by the commands that take it."""

from pathlib import Path
from typing import Annotated

import typer

from sdt_model.recipes import RECIPES
from tasks.config.sources import KIND_HELP

ArchiveArgument = Annotated[str, typer.Argument(metavar="NAME", help="Archive in the workspace.")]
ArchiveOption = Annotated[str, typer.Option("--archive", metavar="NAME", help="What the archive is to be called.")]
OneArchiveOption = Annotated[str | None, typer.Option("--archive", metavar="NAME", help="Absent: all archives.")]
KindArgument = Annotated[str, typer.Argument(metavar="KIND", help=KIND_HELP)]
PathArgument = Annotated[str, typer.Argument(metavar="PATH", help="Its file or folder, any fsspec URL.")]
RecipeOption = Annotated[
    str | None, typer.Option("--recipe", metavar="NAME", help=f"Training settings: {', '.join(RECIPES)}.")
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seeds the training.")]
ModelArgument = Annotated[str, typer.Argument(metavar="ID", help="Its name, as `sdt models` lists it.")]
ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="ID", help="Model to label with; absent: the one in production.")
]
SinceOption = Annotated[str | None, typer.Option("--since", metavar="DAY", help="First day, as 2026-11-01, in UTC.")]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="DAY", help="Last day.")]
DayOption = Annotated[str | None, typer.Option("--date", metavar="DAY", help="That day alone.")]
AgainstOption = Annotated[
    str | None, typer.Option("--against", metavar="ID", help="A second model, or `production`, to compare with.")
]
WorkspaceOption = Annotated[
    str | None,
    typer.Option(
        "--workspace",
        envvar="SDT_WORKSPACE",
        metavar="URL",
        help="Where everything is kept: a folder, s3://..., gs://...; absent: ./workspace.",
    ),
]
FileOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Fields from a TOML file.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Any field; may be repeated.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Remove; without it what would go is shown.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
