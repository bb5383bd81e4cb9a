"""A whole archive with features and labels, and what is found once something in it was damaged."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.config.stages import ExtractConfig, IngestConfig, LabelConfig, VerifyConfig
from tasks.extract.stage import extract
from tasks.ingest.stage import ingest
from tasks.label.stage import label
from tasks.maintenance.verify import VerifyReport, verify
from tasks.storage.workspace import Workspace
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.models import promoted_model


def write(source: Path, conversations: int) -> None:
    rows = [
        {"conversation_id": f"c{n}", "turn": turn, "text": f"so {n}", "occurred_at": f"2026-03-0{1 + n % 2}T12:00:00Z"}
        for n in range(conversations)
        for turn in range(3)
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))


def bring_in(workspace: Workspace, source: Path) -> None:
    ingest(IngestConfig(workspace=workspace.url, ray=LOCAL, archive="made", kind="table", path=str(source), shards=3))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    workspace = Workspace(str(folder / "workspace"))
    write(folder / "source.jsonl", 12)
    bring_in(workspace, folder / "source.jsonl")
    extract(ExtractConfig(workspace=workspace.url, ray=LOCAL, archive="made"), "text")
    promoted_model(workspace, modalities=("text",))
    label(LabelConfig(workspace=workspace.url, ray=LOCAL, archive="made"))
    return folder


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(whole, tmp_path / "copy")
    return Workspace(str(tmp_path / "copy" / "workspace"))


def check(workspace: Workspace, **config: object) -> VerifyReport:
    return verify(VerifyConfig(workspace=workspace.url, ray=LOCAL, archive="made", **config))


def shards(workspace: Workspace, folder: str) -> list[str]:
    return [path for path in workspace.files(folder) if path.endswith(".parquet") and "/timing/" not in path]


@pytest.mark.long
def test_what_is_whole_has_no_faults(copied: Workspace) -> None:
    report = check(copied)
    assert report.faults == () and report.notes == ()
    of_archive = {"utterances": 3, "features": 3, "labels": len(shards(copied, "labels"))}
    assert report.files == of_archive | {"models": 4}
    assert report.rows == {"utterances": 36, "features": 36, "labels": 36}
    assert check(copied, parts=("labels",)).rows == {"labels": 36}


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def _rewritten(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        table = pq.read_table(path)
        pq.write_table(change(table), path)

    return damage


def _renamed(table: pa.Table) -> pa.Table:
    names = pa.array(["somebody", *table["conversation_id"].to_pylist()[1:]])
    return table.set_column(0, table.schema.field("conversation_id"), names)


@pytest.mark.long
@pytest.mark.parametrize("folder", ["archives/made/utterances", "features", "labels"])
@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (Path.unlink, ["it is not there"]),
        (_flip, ["sha256 is |it cannot be read: "]),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), ["it cannot be read: "]),
        (_rewritten(lambda table: table.slice(1)), ["the number of rows is ", "1 utterances have no row, such as 'c"]),
        (_rewritten(lambda table: pa.concat_tables([table, table.slice(0, 1)])), ["1 keys stand twice, such as 'c"]),
        (_rewritten(_renamed), ["1 rows are of no utterance, such as 'somebody' turn 0"]),
        (_rewritten(lambda table: table.drop_columns([table.column_names[-1]])), ["the columns are "]),
    ],
)
def test_damage_is_found_in_its_file(
    copied: Workspace, folder: str, damage: Callable[[Path], None], found: list[str]
) -> None:
    if folder.startswith("archives"):  # what the keys are compared with
        found = [text for text in found if "utterance" not in text] or ["conversations belong to another shard"]
    path = shards(copied, folder)[0]
    damage(Path(copied.path(path)))
    said = [fault.what for fault in check(copied).faults if fault.path == path]
    assert all(any(re.search(text, fault) for fault in said) for text in found), said


def test_what_is_behind_the_archive_is_a_note(copied: Workspace) -> None:
    source = Path(copied.url).parent / "source.jsonl"
    write(source, 14)
    bring_in(copied, source)
    report = check(copied)
    assert report.faults == ()
    assert [note.split(": ")[-1] for note in report.notes] == ["sdt extract made", *["label the day again"] * 2]


def test_files_of_labels_that_no_manifest_names_and_models_are_looked_at(copied: Workspace) -> None:
    stray = "labels/made/date=2026-03-01/part-00007-older.parquet"
    copied.write_bytes(stray, copied.read_bytes(shards(copied, "labels")[0]))
    _flip(Path(copied.path("models/sdt-made/model.safetensors")))
    faults = {fault.path: fault.what for fault in check(copied).faults}
    assert faults[stray] == "no manifest names it: sdt label made, or sdt prune"
    assert "sha256" in faults["models/sdt-made/model.safetensors"] and len(faults) == 2


@pytest.mark.parametrize("folder", ["features", "labels"])
def test_a_manifest_that_is_damaged_is_a_fault(copied: Workspace, folder: str) -> None:
    path = next(path for path in copied.files(folder) if path.endswith("_manifest.json"))
    copied.write_bytes(path, copied.read_bytes(path).replace(b'"rows": 1', b'"rows": 2'))
    assert [fault.what for fault in check(copied).faults if fault.path == path] == [
        "its content does not fit its digest"
    ]
