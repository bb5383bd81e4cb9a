"""A driver that is killed in the middle of a stage: the next run does what is missing, and the labels are the same."""

import logging
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sdt_model.config import MODALITIES
from tasks.config.stages import ExtractConfig, IngestConfig, LabelConfig, Resources
from tasks.config.training import TrainConfig
from tasks.demo import make_demo_archive
from tasks.extract.stage import extract
from tasks.ingest.stage import ingest
from tasks.label.stage import label
from tasks.storage.manifest import MANIFEST
from tasks.storage.workspace import Workspace
from tasks.training.train import train
from tests.fixtures import archives as made
from tests.fixtures import conversations as made_conversations
from tests.fixtures.command import SDT, environment, kill_once
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.models import promoted_model

pytestmark = pytest.mark.process

SHARDS = 16
STAGES: dict[str, tuple[str, Callable[[Workspace], object]]] = {
    "extract": (
        "features/made/audio",
        lambda w: [extract(ExtractConfig(workspace=w.url, ray=LOCAL, archive="made"), m) for m in MODALITIES],
    ),
    "label": ("labels/made", lambda w: label(LabelConfig(workspace=w.url, ray=LOCAL, archive="made"))),
}
# For so long a killed run holds what it makes.
SETTINGS = {name: ["--set", "lease_s=5"] for name in ("label", "train")}


def kept(workspace: Workspace, below: str) -> list[str]:
    """The files of a stage, but for how long each shard took."""
    return [name for name in workspace.files(below) if "/timing/" not in name]


def shards(workspace: Workspace, below: str) -> dict[str, int]:
    """Shard files below a folder, and when each was made (ns)."""
    names = [name for name in kept(workspace, below) if name.endswith(".parquet")]
    return {name: Path(workspace.path(name)).stat().st_mtime_ns for name in names}


def killed(command: str, workspace: Workspace, below: str, cwd: Path) -> dict[str, int]:
    """Run a stage, kill its driver once the third shard is there, and return the shards that are."""
    driver, log = started(command, [], cwd)
    kill_once(lambda: shards(workspace, below), 3, driver, log)
    return shards(workspace, below)


def started(command: str, settings: list[str], cwd: Path) -> tuple["subprocess.Popen[bytes]", Path]:
    """A command under way over the archive in ``cwd``'s workspace, and where its lines go."""
    log = cwd / f"{command}.log"
    driver = subprocess.Popen(
        [SDT, command, "made", "--set", "ray.cpus=1", *SETTINGS.get(command, []), *settings],
        cwd=cwd, env=environment(cwd), stdout=log.open("w"), stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    return driver, log


def test_killed_in_extract_and_in_label_it_goes_on_and_ends_with_the_same_labels(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    undisturbed, rough = Workspace(str(tmp_path / "undisturbed")), tmp_path / "rough"
    table = make_demo_archive(tmp_path / "source", conversations=24)
    ingest(
        IngestConfig(workspace=undisturbed.url, ray=LOCAL, archive="made", kind="table", path=str(table), shards=SHARDS)
    )
    promoted_model(undisturbed)
    shutil.copytree(undisturbed.url, rough / "workspace")
    workspace = Workspace(str(rough / "workspace"))

    for command, (below, run) in STAGES.items():
        run(undisturbed)
        before = killed(command, workspace, below, rough)
        assert 3 <= len(before) < len(shards(undisturbed, below)) and not any(
            name.endswith(MANIFEST) for name in workspace.files(below)
        )
        with caplog.at_level(logging.INFO, "sdt.stage"):
            run(workspace)
        after = shards(workspace, below)
        assert len(after) > len(before) and f"({len(before)} found)" in caplog.text
        assert {name: after[name] for name in before} == before, "a finished shard was computed again"
        assert kept(workspace, below) == kept(undisturbed, below)
        for name in kept(workspace, below):
            assert workspace.read_bytes(name) == undisturbed.read_bytes(name), name


@pytest.mark.usefixtures("ray_session")  # its checkpoints are Ray Train's
def test_killed_in_training_it_goes_on_from_its_last_checkpoint_to_the_same_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    undisturbed, workspace = Workspace(str(tmp_path / "undisturbed")), Workspace(str(tmp_path / "rough" / "workspace"))
    training, epochs = made_conversations.training(hidden=64, epochs=8, patience=8, dropout=0.1), 8
    for each in (undisturbed, workspace):
        made.archive(each, conversations=360)  # epochs that last: workers go on for a second after their driver's death
    one_core = Resources(cpus=1)  # two would add up in another order
    settings = ["--set", f"training={training.model_dump_json()}", "--set", f"resources={one_core.model_dump_json()}"]
    driver, log = started("train", settings, tmp_path / "rough")
    checkpoints = Path(workspace.url) / "models" / ".runs"
    kill_once(lambda: list(checkpoints.rglob("best.safetensors")), 2, driver, log)

    with caplog.at_level(logging.INFO, "sdt.train"):
        report = train(TrainConfig(workspace=workspace.url, archive="made", training=training, resources=one_core))
    lines = [record.message for record in caplog.records if record.message.startswith("train: epoch")]
    assert report.epochs == epochs and 0 < len(lines) < epochs, "it did not go on from where it was killed"
    whole = train(TrainConfig(workspace=undisturbed.url, archive="made", training=training, resources=one_core))
    weights = f"models/{report.model_id}/model.safetensors"
    assert whole == report and workspace.read_bytes(weights) == undisturbed.read_bytes(weights)
