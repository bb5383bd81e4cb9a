"""The whole way over an S3 gateway: the same labels as on disk, the fewest reads, and a gateway that dies half-way."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import torch

from sdt_model.config import MODALITIES
from tasks.config.stages import ExtractConfig, ExtractorNames, IngestConfig, LabelConfig, VerifyConfig
from tasks.config.training import TrainConfig
from tasks.demo import make_demo_archive
from tasks.extract.stage import extract
from tasks.ingest.stage import ingest
from tasks.label.stage import label
from tasks.maintenance.prune import plan_workspace_prune
from tasks.maintenance.verify import verify
from tasks.query import run_query
from tasks.registry.models import promote
from tasks.storage.workspace import Workspace
from tasks.training.train import train
from tests.fixtures import archives as made
from tests.fixtures import conversations as made_conversations
from tests.fixtures import letters
from tests.fixtures.command import CommandLine
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.models import promoted_model
from tests.fixtures.pages import cells
from tests.fixtures.services.gateway import Gateway
from tests.fixtures.services.wire import Request, Wire

EXTRACTORS = ExtractorNames(text=letters.NAME, audio="logmel")
QUERY = "SELECT * FROM labels ORDER BY conversation_id, turn"
BY_PLACE = ["model_id", "run_id", "archive"]  # these name the data's versions, which a store tells in its own way


def rows(workspace: Workspace, sql: str = QUERY) -> pl.DataFrame:
    return run_query(workspace, sql).collect()


def everything(workspace: Workspace, source: str) -> pl.DataFrame:
    """Ingest, extract, train and label in a workspace; its labels."""
    where = {"workspace": workspace.url, "archive": "made", "ray": LOCAL}
    ingest(IngestConfig(**where, kind="table", path=source, shards=4))
    for modality in MODALITIES:
        extract(ExtractConfig(**where, extractors=EXTRACTORS), modality)
    trained = train(TrainConfig(**where, extractors=EXTRACTORS, training=made_conversations.training()))
    promote(workspace, trained.model_id)
    label(LabelConfig(**where))
    assert verify(VerifyConfig(**where)).faults == ()
    return rows(workspace)


def test_media_training_and_labels_on_a_store_are_those_on_disk(
    workspace: Workspace, s3_workspace: Workspace, tmp_path: Path
) -> None:
    letters.install()
    table = make_demo_archive(tmp_path / "source", conversations=6)
    s3_workspace.fs.put(str(table.parent), s3_workspace.path("source"), recursive=True)
    on_disk = everything(workspace, str(table))
    on_store = everything(s3_workspace, s3_workspace.uri(f"source/{table.name}"))
    assert len(on_disk) > 30
    assert on_store.drop(BY_PLACE).equals(on_disk.drop(BY_PLACE))
    assert plan_workspace_prune(s3_workspace, "made") == []


def test_a_query_for_one_day_reads_that_day_s_files_alone(s3_workspace: Workspace, store: Wire) -> None:
    made.archive(s3_workspace, shards=4)
    promoted_model(s3_workspace)
    label(LabelConfig(workspace=s3_workspace.url, archive="made", ray=LOCAL))
    store.reset()
    counted = rows(s3_workspace, "SELECT emotion, COUNT(*) AS n FROM labels WHERE date = '2026-03-01' GROUP BY emotion")
    read = {request.path for request in store.requests if request.path.endswith(".parquet") and request.method == "GET"}
    of_the_day = [path for path in s3_workspace.files("labels/made/date=2026-03-01") if path.endswith(".parquet")]
    assert counted["n"].sum() > 0 and len(of_the_day) == 4
    assert {unquote(path).lstrip("/") for path in read} == {s3_workspace.path(path) for path in of_the_day}


@contextlib.contextmanager
def stops(gateway: Gateway, store: Wire, after: int) -> Iterator[None]:
    """The gateway's power fails once so many label shards have been written; afterwards it is back."""
    written: list[str] = []

    def seen(request: Request) -> bool:
        if request.method == "PUT" and "/labels/" in request.path and request.path.endswith(".parquet"):
            written.append(request.path)
            if len(written) == after:
                threading.Thread(target=gateway.stop).start()
        return False

    store.fails = seen
    try:
        yield
        assert len(written) >= after
    finally:
        store.reset()
        gateway.stop()
        gateway.start()


def test_a_gateway_that_dies_half_way_fails_the_run_readably_and_the_next_one_completes(
    s3_workspace: Workspace, gateway: Gateway, store: Wire, sdt: CommandLine
) -> None:
    workspace = sdt.workspace
    for each in (workspace, s3_workspace):
        made.archive(each, conversations=96, shards=8)
        torch.manual_seed(0)
        promoted_model(each)
    where = ["--workspace", s3_workspace.url]
    surroundings = store.environment | {"AWS_MAX_ATTEMPTS": "2"}
    few = ["--set", "retries=0", "--set", "lease_s=5", "--set", "ray.address=local"]
    with stops(gateway, store, after=4):
        failed = sdt("label", "made", *where, *few, **surroundings)
    assert failed.returncode == 1 and "Traceback" not in failed.stderr
    assert "does not answer" in failed.stderr and s3_workspace.url in failed.stderr
    assert store.environment["AWS_SECRET_ACCESS_KEY"] not in failed.stderr + failed.stdout
    finished = [path for path in s3_workspace.files("labels/made") if path.endswith(".parquet")]
    assert 0 < len(finished) < 24

    again = sdt("label", "made", *where, *few, **surroundings)
    assert again.returncode == 0, again.stderr
    assert "found" in again.stderr
    runs = [row for row in cells(sdt("status", *where, **surroundings).stdout) if "sdt-label" in row]
    assert len(runs) == 2 and runs[0][6] == "completed" and runs[1][6] != "completed"
    label(LabelConfig(workspace=workspace.url, archive="made", ray=LOCAL))
    assert rows(s3_workspace).drop("run_id").equals(rows(workspace).drop("run_id"))
    assert verify(VerifyConfig(workspace=s3_workspace.url, archive="made", parts=("features", "labels"))).faults == ()
    assert s3_workspace.files("leases") == []
