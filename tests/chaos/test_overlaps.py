"""Two commands at once: one is refused in words, or both end, and nothing is lost, doubled or changed by it.

The second runs wholly while the first is at one of its steps; or the first is held up for so long there that its lease
has run out, and goes on when the second is done.
"""

import random
from pathlib import Path

import pytest

from tasks.errors import WorkflowError
from tasks.storage.workspace import Workspace
from tests.fixtures.chaos.commands import Command, Commands
from tests.fixtures.chaos.faults import WHOLE, Steps, bury, copied, stepped, tree

FIRST = ("ingest again", "extract again", "label again", "prune")
SECOND = ("ingest", "ingest again", "extract again", "label again", "prune", "promote")
PAIRS = [(first, second) for first in FIRST for second in SECOND]
CHOSEN = PAIRS if WHOLE else random.Random(0).sample(PAIRS, 4)
SETTLED = ("ingest again", "extract again", "label again", "prune")
"""What brings the workspace to one state, whatever came before."""
QUICK_S = 1.0
"""Length of a lease, so that whoever waits for a sign of life soon has one."""


@pytest.mark.long
@pytest.mark.parametrize("held_up", [False, True])
@pytest.mark.parametrize(("first", "second"), CHOSEN)
def test_two_at_once(commands: Commands, tmp_path: Path, first: str, second: str, held_up: bool) -> None:
    quick = Commands(commands.folder, lease_s=QUICK_S)
    in_turn = copied(commands.before(first), tmp_path / "in-turn")
    with stepped(Steps()) as steps:
        quick.all[first](in_turn)
    for name in (second, *SETTLED):
        _ended(quick.all[name], in_turn)
    expected, count = tree(in_turn), len(steps.done)
    at = random.Random(first + second).randrange(count)
    workspace, ended = copied(commands.before(first), tmp_path / "overlapped"), []

    def meanwhile() -> None:
        if held_up:
            bury(workspace)
        ended.append(_ended(quick.all[second], workspace))

    with stepped(Steps(at, meanwhile=meanwhile)):
        ended.append(_ended(quick.all[first], workspace))
    print(f"{second} within {first}, at {steps.done[at]}: {ended}")
    for name in SETTLED:
        quick.all[name](workspace)
    assert tree(workspace) == expected


def _ended(command: Command, workspace: Workspace) -> str:
    """The first line of what a command was refused with; empty where it was not."""
    try:
        command(workspace)
    except WorkflowError as error:
        return str(error).partition("\n")[0]
    return ""
