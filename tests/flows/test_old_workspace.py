"""A workspace that an earlier version made goes on working: all of it is read, and nothing in it is made again.

What lies in it, and how it was made: `tests/fixtures/workspaces/v332534d/README.md`. Where a test fails here, users
would have to make their features, models or labels again: mend the code, not the fixture.
"""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from sdt_model.config import MODALITIES
from tasks.config.stages import ExtractConfig, IngestConfig, LabelConfig, VerifyConfig
from tasks.config.training import FinetuneConfig, TrainConfig
from tasks.extract.stage import extract
from tasks.extractors import base
from tasks.finetuning.finetune import finetune
from tasks.ingest.stage import ingest
from tasks.label.stage import label
from tasks.maintenance.status import workspace_status
from tasks.maintenance.verify import verify
from tasks.query import run_query
from tasks.registry.models import bundles, production
from tasks.training.train import train
from tests.fixtures.old_workspace import OldWorkspace


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OldWorkspace:
    unpacked = OldWorkspace.unpack(tmp_path)
    # Features by other versions of a package are other features, as they should be; the code is what is tested here.
    monkeypatch.setattr(base, "version", unpacked.version)
    return unpacked


def state(old: OldWorkspace) -> dict[str, tuple[int, str]]:
    """When each file was written, and its content."""
    files = [path for path in Path(old.workspace.url).rglob("*") if path.is_file()]
    return {str(p): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files}


def test_ingest_finds_its_archives(old: OldWorkspace) -> None:
    before = state(old)
    calls = ingest(IngestConfig(**old.config(), kind="table", path=str(old.folder / "source"), shards=3))
    pickle = str(old.folder / "published" / "meld.pkl")
    meld = ingest(IngestConfig(**old.config("meld"), kind="sdt-pickle", path=pickle, shards=2))
    assert (calls.rows, calls.counts["rejected"], meld.rows) == (32, 5, 24)
    assert state(old) == before


@pytest.mark.parametrize("archive", ["calls", "meld"])
@pytest.mark.parametrize("modality", MODALITIES)
def test_extract_finds_its_features(old: OldWorkspace, archive: str, modality: Any) -> None:
    before = state(old)
    features = extract(ExtractConfig(**old.config(archive)), modality)
    assert features is not None and features.rows == (32 if archive == "calls" else 24)
    assert features.counts["present"] > 0 and state(old) == before


@pytest.mark.long
def test_a_finetuned_encoder_and_its_features_are_found(old: OldWorkspace) -> None:
    before = state(old)
    encoder = str(old.folder / "encoder")
    report = finetune(FinetuneConfig(**old.config(), encoder=encoder, epochs=1, max_tokens=32))
    assert (report.encoder_id, report.epochs) == (old.notes["encoder"], 0)
    names = {"text": f"finetuned:{report.encoder_id}"}
    features = extract(ExtractConfig(**old.config(), extractors=names), "text")
    assert features is not None and features.rows == 32 and state(old) == before


def test_train_finds_its_models(old: OldWorkspace) -> None:
    before = state(old)
    training = old.notes["training"]
    seeded = {**training, "optim": {**training["optim"], "seed": 1}}
    report = train(TrainConfig(**old.config(), training=seeded))
    given = train(TrainConfig(**old.config("meld"), training=training, promote="never", dev_fraction=0.2))
    assert [report.model_id, given.model_id] == old.notes["models"][1:] and report.epochs == given.epochs == 0
    assert production(old.workspace) == report.model_id and state(old) == before


def test_every_model_is_listed(old: OldWorkspace) -> None:
    assert [bundle.model_id for bundle in bundles(old.workspace)] == sorted(old.notes["models"])


@pytest.mark.parametrize(("archive", "rows", "days"), [("calls", 32, 4), ("meld", 24, 1)])
def test_label_finds_its_labels(old: OldWorkspace, archive: str, rows: int, days: int) -> None:
    before = state(old)
    model = {"calls": "production", "meld": old.notes["models"][2]}[archive]
    report = label(LabelConfig(**old.config(archive), model=model))
    assert (report.rows, len(report.days), report.new_days, report.outdated) == (rows, days, (), {})
    assert state(old) == before


def test_nothing_is_missing(old: OldWorkspace) -> None:
    calls, meld = workspace_status(old.workspace)
    assert (calls.name, calls.missing, calls.labelled) == ("calls", (), 4)
    assert meld.name == "meld" and meld.labelled == 1, "its own model made its labels, not the one in production"


@pytest.mark.parametrize("archive", ["calls", "meld"])
def test_verify_finds_no_fault(old: OldWorkspace, archive: str) -> None:
    report = verify(VerifyConfig(workspace=old.workspace.url, archive=archive))
    assert report.faults == () and set(report.files) == {"utterances", "features", "labels"}


def test_queries_read_every_table(old: OldWorkspace) -> None:
    def count(table: str) -> int:
        return int(run_query(old.workspace, f"SELECT COUNT(*) AS n FROM {table}").collect().item())

    assert [count(table) for table in ("labels", "utterances", "rejected")] == [56, 56, 5]
    joined = run_query(
        old.workspace,
        "SELECT u.text FROM labels l JOIN utterances u ON l.conversation_id = u.conversation_id AND l.turn = u.turn "
        "WHERE l.status = 'degraded' AND l.confidence > 0",
        archive="calls",
    )
    assert joined.collect().height > 0
