"""Every kind of file cut, emptied, flipped or gone: what reads it names it, and the commands make it what it was."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.archive.layout import PRODUCTION
from tasks.errors import WorkflowError
from tasks.storage.workspace import Workspace
from tests.fixtures.chaos.commands import Commands
from tests.fixtures.chaos.faults import WHOLE, copied, tree


def _flip(path: Path, share: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 4
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "flipped": _flip,
    "flipped early": lambda path: _flip(path, 0.1),
    "flipped late": lambda path: _flip(path, 0.95),
}
KINDS = {
    "utterances": "archives/a/utterances/",
    "rejected": "archives/a/rejected/",
    "archive manifest": "archives/a/_manifest.json",
    "features": "features/a/text/",
    "labels": "labels/a/date=",
    "model": "models/sdt-",
    "encoder": "encoders/a-",
    "pointer": PRODUCTION,
}
BY_SIZE = ("gone", "empty", "cut")  # is seen without reading the file
HEALING = ("ingest", "extract", "train", "train again", "label")
ENCODER_HEALING = ("finetune",)  # no other reads it


def _files(workspace: Workspace, kind: str) -> list[str]:
    paths = [path for path in tree(workspace) if path.startswith(KINDS[kind])]
    return paths if WHOLE else [paths[0], paths[-1]]


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_damaged_is_named_and_made_again(commands: Commands, tmp_path: Path, kind: str) -> None:
    whole = commands.before("rollback")
    expected, wrong = tree(whole), []
    damages = DAMAGES if WHOLE else {name: DAMAGES[name] for name in ("cut", "flipped")}
    for number, path in enumerate(_files(whole, kind)):
        for name, damage in damages.items():
            workspace = copied(whole, tmp_path / f"{number}-{name}")
            damage(Path(workspace.path(path)))
            if fault := _fault(commands, workspace, path, name, expected):
                wrong.append((path, name, fault))
    assert wrong == []


def _fault(commands: Commands, workspace: Workspace, path: str, damage: str, expected: dict[str, str]) -> str | None:
    check = "size" if damage in BY_SIZE and "/rejected/" not in path else "content"
    healing = Commands(commands.folder, check=check)
    for name in ENCODER_HEALING if path.startswith(KINDS["encoder"]) else HEALING:
        try:
            healing.all[name](workspace)
        except WorkflowError as error:
            if path == PRODUCTION and "sdt promote" in str(error):
                healing.all["promote"](workspace)
                continue
            return f"{name}: {error}"
    after = tree(workspace)
    paths = (expected.keys() | after.keys()) - {PRODUCTION}  # trained or promoted anew, it says so
    different = sorted(path for path in paths if expected.get(path) != after.get(path))
    return f"not as it was: {different}" if different else None
