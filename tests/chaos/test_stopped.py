"""A run that is really stopped for longer than its lease: another takes over, and the first makes nothing current."""

import signal
from pathlib import Path

import pytest

from tests.fixtures.chaos.commands import Commands
from tests.fixtures.chaos.faults import copied, tree
from tests.fixtures.chaos.stopped import REFUSED, stopped
from tests.fixtures.patience import PATIENCE_S

LEASE_S = 2.0


@pytest.mark.long
@pytest.mark.process
@pytest.mark.parametrize("name", ["label", "ingest", "train"])
def test_a_run_stopped_past_its_lease_publishes_nothing(commands: Commands, tmp_path: Path, name: str) -> None:
    quick = Commands(commands.folder, lease_s=LEASE_S)
    undisturbed, workspace = (copied(commands.before(name), tmp_path / folder) for folder in ("undisturbed", "stopped"))
    quick.all[name](undisturbed)
    expected = tree(undisturbed)
    with stopped(quick, name, workspace) as process:
        assert workspace.files("leases"), "it holds one while it is stopped"
        quick.all[name](workspace)  # waits until the lease has run out
        assert tree(workspace) == expected
        current = _current(Path(workspace.url))
        process.send_signal(signal.SIGCONT)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == REFUSED
    assert "the lease on " in said, said
    block = said[said.index("the lease on ") :].splitlines()
    assert "ran out at" in block[0] and "another took over" in block[1] and "nothing more is written" in block[2]
    assert len(block) == 3 and "Traceback" not in said
    assert _current(Path(workspace.url)) == current
    quick.all[name](workspace)
    assert tree(workspace) == expected and workspace.files("leases") == []


def _current(folder: Path) -> dict[str, tuple[int, int]]:
    """The files that say what is complete: which ones they are, and when they were written."""
    paths = [*folder.glob("**/_manifest.json"), *folder.glob("models/*.json"), *folder.glob("models/sdt-*/*")]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}
