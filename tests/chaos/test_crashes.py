"""Every step of every command is the last one of its process, or meets a full disk; one more run makes it whole.

`make chaos` tries every step in every way, the other tests a sample.
"""

import random
from pathlib import Path

import pytest

from tasks.errors import WorkflowError
from tests.fixtures.chaos.commands import Commands
from tests.fixtures.chaos.faults import HOWS, WHOLE, How, Killed, Steps, bury, copied, stepped, tree

NAMES = ("ingest", "extract", "train", "label", "finetune", "rollback", "promote", "ingest again", "extract again",
         "label again", "prune")  # fmt: skip
SAMPLE = 4  # of each command's cases


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_one_more_run_makes_it_whole(commands: Commands, tmp_path: Path, name: str) -> None:
    undisturbed = copied(commands.before(name), tmp_path / "undisturbed")
    with stepped(Steps()) as steps:
        commands.all[name](undisturbed)
    expected, count = tree(undisturbed), len(steps.done)
    assert count, "it changes something"
    cases = [(at, how) for at in range(count) for how in HOWS]
    chosen = cases if WHOLE else random.Random(name).sample(cases, min(SAMPLE, len(cases)))
    wrong = [
        (steps.done[at], how, fault)
        for number, (at, how) in enumerate(chosen)
        if (fault := _fault(commands, name, at, how, tmp_path / str(number), expected))
    ]
    print(f"{name}: {count} steps, {len(chosen)} cases, {len(wrong)} wrong")
    assert wrong == []


def _fault(commands: Commands, name: str, at: int, how: How, folder: Path, expected: dict[str, str]) -> str | None:
    """What is not as it should be after a command was disturbed at a step and then run once more."""
    workspace = copied(commands.before(name), folder)
    ended = None
    try:
        with stepped(Steps(at, how)) as steps:
            commands.all[name](workspace)
    except (Killed, WorkflowError) as error:
        ended = error
    if steps.happened and ended is None and how != "disk full":
        return "it went on"
    if how == "disk full" and isinstance(ended, WorkflowError) and "No space left" not in str(ended):
        return f"the reason is not said: {ended}"
    bury(workspace)
    commands.all[name](workspace)
    after = tree(workspace)
    different = sorted(path for path in expected.keys() | after.keys() if expected.get(path) != after.get(path))
    return f"other files than without: {different}" if different else None
