"""Labels, from a model with random weights: not what they say matters, but that they are all there."""

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import torch

from sdt_model.weights import new_network, to_files
from tasks.archive.layout import day_manifest, day_of, features_path
from tasks.archive.leases import labels_of
from tasks.config.date_range import UNDATED, DateRange
from tasks.config.stages import LabelConfig, RayConfig
from tasks.errors import StageFailed, WorkflowError
from tasks.features.vectors import vector_array, vectors_of
from tasks.label.report import LabelReport
from tasks.label.rows import UNUSABLE
from tasks.label.stage import label
from tasks.registry.models import read_network, write_bundle
from tasks.storage.lease import lease
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.models import promoted_model


def run(workspace: Workspace, **config: object) -> LabelReport:
    return label(LabelConfig(**{"workspace": workspace.url, "archive": "made", "ray": LOCAL, **config}))


def rows(workspace: Workspace) -> pl.DataFrame:
    files = [workspace.path(path) for path in workspace.files("labels/made") if path.endswith(".parquet")]
    return pl.concat([pl.read_parquet(file, hive_partitioning=False) for file in files]).sort("conversation_id", "turn")


def test_one_row_for_each_utterance_with_its_status(workspace: Workspace) -> None:
    archive, bundle = made.archive(workspace, missing=0.4), promoted_model(workspace)
    report, found = run(workspace), rows(workspace)
    keys = pl.concat([pl.read_parquet(workspace.path(shard.path)) for shard in archive.shards])
    assert found.select("conversation_id", "turn").equals(
        keys.select("conversation_id", "turn").sort("conversation_id", "turn")
    )
    status = dict(found["status"].value_counts().iter_rows())
    assert (
        status == {"ok": report.ok, "degraded": report.degraded, "failed": report.failed} and min(status.values()) > 0
    )
    assert report.rows == archive.rows and report.model_id == bundle.model_id
    assert {name: count for name, count in found["emotion"].drop_nulls().value_counts().iter_rows()} == {
        name: count for name, count in report.emotions.items() if count
    }


def test_what_a_row_says(workspace: Workspace) -> None:
    made.archive(workspace, missing=0.4)
    promoted_model(workspace)
    run(workspace)
    found = rows(workspace)
    labelled, failed = found.filter(pl.col("status") != "failed"), found.filter(pl.col("status") == "failed")
    total = pl.sum_horizontal(pl.col("probabilities").struct.field(*made.EMOTIONS))
    assert labelled.select(((total - 1).abs() < 1e-5).all()).item()
    assert labelled.select(
        (pl.col("confidence") == pl.max_horizontal(pl.col("probabilities").struct.field("*"))).all()
    ).item()
    assert failed.select(pl.all_horizontal(pl.col("emotion", "confidence").is_null()).all()).item()
    for row in found.iter_rows(named=True):
        present = set(row["modalities"])
        assert {name for name, emotion in row["students"].items() if emotion is not None} == present
        assert {name for name, weight in row["weights"].items() if weight is not None} == present
        assert (row["reason"] is None) == (len(present) == 3)
        for absent in {"text", "audio", "visual"} - present:
            assert f"{absent}: none given" in row["reason"] or f"{absent}: no such file" in row["reason"]


def test_confidence_is_calibrated_and_emotions_stay(workspace: Workspace) -> None:
    made.archive(workspace)
    bundle = promoted_model(workspace)
    run(workspace)
    before = rows(workspace)
    warm = bundle.model_copy(update={"model_id": "sdt-warm", "calibration_temperature": 2.0})
    network = read_network(workspace, bundle)
    write_bundle(workspace, "sdt-warm", to_files(warm, network))
    run(workspace, model="sdt-warm")
    after = rows(workspace).drop_nulls("confidence")
    assert after["emotion"].equals(before.drop_nulls("confidence")["emotion"])
    assert (after["confidence"] < before.drop_nulls("confidence")["confidence"]).all()


def test_a_folder_for_each_day_by_when_the_conversation_began(workspace: Workspace) -> None:
    made.archive(workspace)
    promoted_model(workspace)
    run(workspace)
    days = {day_of(path).day for path in workspace.files("labels/made")}
    assert days == {"2026-03-01", "2026-03-02", UNDATED}
    assert workspace.exists("labels/made/date=2026-03-01/_manifest.json")


def test_running_again_changes_nothing_and_a_lost_shard_comes_back_the_same(workspace: Workspace) -> None:
    made.archive(workspace)
    promoted_model(workspace)
    first = run(workspace)
    before = {path: workspace.read_bytes(path) for path in workspace.files("labels")}
    assert run(workspace) == first.model_copy(update={"new_days": ()})
    lost = next(path for path in before if path.endswith(".parquet"))
    workspace.remove(lost)
    workspace.remove(day_manifest(*day_of(lost)))
    assert run(workspace) == first.model_copy(update={"new_days": (day_of(lost).day,)})
    assert {path: workspace.read_bytes(path) for path in workspace.files("labels")} == before


@pytest.mark.usefixtures("ray_session")
def test_labels_do_not_depend_on_workers_or_batches(workspace: Workspace) -> None:
    made.archive(workspace)
    promoted_model(workspace)
    run(workspace, workers=1)
    one = rows(workspace)
    workspace.remove_folder("labels/made")
    run(workspace, ray=RayConfig(), workers=2, batch_utterances=5)
    other = rows(workspace)
    assert one.equals(other)


def test_a_new_model_replaces_the_labels_of_the_old(workspace: Workspace) -> None:
    archive = made.archive(workspace)
    promoted_model(workspace)
    run(workspace)
    promoted_model(workspace, "sdt-newer")
    run(workspace)
    assert set(rows(workspace)["model_id"]) == {"sdt-newer"} and len(rows(workspace)) == archive.rows


def test_a_modality_the_archive_has_not_is_absent(workspace: Workspace) -> None:
    made.archive(workspace, modalities=("text",), missing=0.2)
    promoted_model(workspace)
    report = run(workspace)
    assert report.ok == 0 and report.degraded > 0 and report.failed > 0


def test_features_of_another_extractor_are_refused_and_both_are_named(workspace: Workspace) -> None:
    made.archive(workspace)
    bundle = promoted_model(workspace)
    text = bundle.features["text"].model_copy(update={"fingerprint": "another"})
    changed = bundle.model_copy(update={"model_id": "sdt-other", "features": {**bundle.features, "text": text}})
    write_bundle(workspace, "sdt-other", to_files(changed, new_network(changed)))
    there = bundle.features["text"].fingerprint
    with pytest.raises(
        WorkflowError, match=rf"(?s)takes text features of minilm \(another\).*there: features of {there}"
    ):
        run(workspace, model="sdt-other")


FIRST, SECOND = "2026-03-01", "2026-03-02"


def folders(workspace: Workspace) -> set[str]:
    return {day_of(path).day for path in workspace.files("labels/made")}


def test_day_by_day_gives_the_rows_of_all_at_once(workspace: Workspace, tmp_path: Path) -> None:
    apart, at_once = workspace, Workspace(str(tmp_path / "at-once"))
    made.archive(apart)
    promoted_model(apart)
    shutil.copytree(apart.url, at_once.url)
    report = run(apart, since=SECOND, until=SECOND)
    assert folders(apart) == {SECOND} and list(report.days) == [SECOND] and report.days[SECOND] == report.rows > 0
    assert report.outdated == {FIRST: "never labelled", UNDATED: "never labelled"}
    run(apart, until=SECOND)
    assert run(apart).new_days == (UNDATED,)
    assert run(at_once).outdated == {} and rows(apart).equals(rows(at_once))


def test_an_archive_that_grows_keeps_the_labels_of_the_other_days(workspace: Workspace) -> None:
    made.archive(workspace, conversations=36)
    promoted_model(workspace)
    run(workspace)
    before = {path: workspace.read_bytes(path) for path in workspace.files("labels")}
    made.archive(workspace, conversations=37)  # one more on the first day
    promoted_model(workspace, "sdt-newer")
    report = run(workspace, since=SECOND, until=SECOND, model="sdt-made")
    assert report.new_days == () and report.outdated == {FIRST: "its conversations changed"}
    assert {path: workspace.read_bytes(path) for path in workspace.files("labels")} == before
    back = run(workspace, since="2026-03-04", until="2026-03-04", look_back=3)
    assert back.new_days == (FIRST,) and back.outdated == {}, "what did not change keeps the model that labelled it"
    after = {path: workspace.read_bytes(path) for path in workspace.files("labels")}
    assert {path for path in before.items() & after.items()} == {
        pair for pair in before.items() if FIRST not in pair[0]
    }


def test_a_day_without_conversations_is_no_fault_and_loses_its_labels(workspace: Workspace) -> None:
    made.archive(workspace)
    promoted_model(workspace)
    run(workspace, since=FIRST, until=SECOND)
    made.archive(workspace, conversations=1)  # of the first day
    elsewhere = run(workspace, since="2026-03-03", until="2026-03-03")
    assert (elsewhere.rows, elsewhere.days) == (0, {}) and folders(workspace) == {FIRST, SECOND}
    assert elsewhere.outdated == {
        FIRST: "its conversations changed", SECOND: "it has no conversations any more",
    }  # fmt: skip
    report = run(workspace, since=SECOND, until=SECOND)
    assert report.rows == 0 and folders(workspace) == {FIRST} and list(report.outdated) == [FIRST]


def test_what_a_killed_run_left_beside_the_current_labels_is_removed(workspace: Workspace) -> None:
    made.archive(workspace)
    promoted_model(workspace)
    run(workspace, since=FIRST, until=FIRST)
    before = workspace.files("labels")
    workspace.write_bytes(f"labels/made/date={FIRST}/part-00000-0123456789abcdef.parquet", b"")
    run(workspace, since=SECOND, until=SECOND, look_back=1)
    assert [path for path in workspace.files("labels") if FIRST in path] == before


@pytest.mark.long
def test_days_that_another_run_labels_are_left_to_it(workspace: Workspace) -> None:
    made.archive(workspace)
    promoted_model(workspace)
    both = DateRange(since=date(2026, 3, 1), until=date(2026, 3, 2))
    with (
        lease(workspace, labels_of("made", both), 8.0, "other"),
        pytest.raises(WorkflowError, match=r"another run is writing .*, 2026-03-01 to 2026-03-02\n.*run other"),
    ):
        run(workspace, since=SECOND)
    assert workspace.files("labels") == []


def spoil(workspace: Workspace, manifest: Manifest, shards: dict[int, float]) -> list[tuple[str, int]]:
    """Write a value into the first vector of some text shards, by index; the keys of their utterances."""
    (folder,) = (folder for folder in made.feature_folders() if folder.modality == "text")
    keys = []
    for index, value in shards.items():
        path = workspace.path(features_path(folder.folder, manifest.shards[index]))
        table = pq.read_table(path)
        vectors, valid = vectors_of(table)
        row = int(np.flatnonzero(valid)[0])
        vectors[row, 0] = value
        place = table.schema.get_field_index("vector")
        pq.write_table(table.set_column(place, table.schema.field("vector"), vector_array(vectors, valid)), path)
        keys.append((table["conversation_id"][row].as_py(), table["turn"][row].as_py()))
    return keys


def test_a_vector_that_is_no_number_costs_its_utterance_and_the_row_says_why(workspace: Workspace) -> None:
    archive = made.archive(workspace, modalities=("text",), missing=0)
    promoted_model(workspace, modalities=("text",))
    spoilt = spoil(workspace, archive, {0: float("nan"), 1: float("-inf")})
    report, found = run(workspace), rows(workspace)
    assert (report.failed, report.ok) == (2, archive.rows - 2)
    failed = found.filter(pl.col("status") == "failed")
    assert sorted(failed.select("conversation_id", "turn").iter_rows()) == sorted(spoilt)
    assert failed["reason"].to_list() == ["text: a value that is not finite"] * 2
    assert failed.select(pl.all_horizontal(pl.col("emotion", "confidence").is_null()).all()).item()
    assert found["confidence"].drop_nulls().is_finite().all() and found["confidence"].null_count() == 2


def test_one_too_large_for_the_model_costs_its_utterance_and_the_row_says_why(workspace: Workspace) -> None:
    archive = made.archive(workspace, modalities=("text",), missing=0)
    bundle = promoted_model(workspace, modalities=("text",))
    free = bundle.training.model_copy(update={"model": bundle.training.model.model_copy(update={"clip": None})})
    open_ended = bundle.model_copy(update={"model_id": "sdt-free", "training": free})
    write_bundle(workspace, "sdt-free", to_files(open_ended, read_network(workspace, bundle)))
    spoilt = spoil(workspace, archive, {2: 3e38})
    report, found = run(workspace, model="sdt-free"), rows(workspace)
    assert report.failed == 1
    (failed,) = found.filter(pl.col("status") == "failed").iter_rows(named=True)
    assert (failed["conversation_id"], failed["turn"]) == spoilt[0]
    assert failed["reason"] == f"text: {UNUSABLE}" and failed["emotion"] is None
    assert found["confidence"].drop_nulls().is_finite().all()


def test_a_model_whose_weights_are_no_numbers_is_refused(workspace: Workspace) -> None:
    made.archive(workspace)
    bundle = promoted_model(workspace)
    network = read_network(workspace, bundle)
    torch.nn.init.constant_(network.teacher.bias, torch.nan)
    write_bundle(workspace, bundle.model_id, to_files(bundle, network))
    with pytest.raises(StageFailed, match=r"no numbers in teacher.bias \(1 tensors\)"):
        run(workspace)


def test_the_order_of_modalities_in_a_model_s_description_changes_no_label(workspace: Workspace) -> None:
    made.archive(workspace)
    bundle = promoted_model(workspace)
    run(workspace)
    before = rows(workspace)
    path = f"models/{bundle.model_id}/bundle.json"
    described = workspace.read_json(path)
    described["features"] = dict(reversed(described["features"].items()))
    workspace.write_json(path, described)
    workspace.remove_folder("labels")
    run(workspace)
    assert rows(workspace).equals(before), "run_id included"


def test_an_utterance_of_one_modality_is_as_sure_as_that_student_is_right(workspace: Workspace) -> None:
    made.archive(workspace, modalities=("text",), missing=0.2)
    bundle = promoted_model(workspace)
    first = run(workspace)
    before = rows(workspace)
    cool = bundle.model_copy(update={"student_temperatures": {"text": 4.0}})
    write_bundle(workspace, bundle.model_id, to_files(cool, read_network(workspace, bundle)))
    assert run(workspace).new_days == first.new_days, "labels by another calibration are other labels"
    after = rows(workspace)
    assert after["emotion"].equals(before["emotion"])
    assert (after["confidence"].drop_nulls() < before["confidence"].drop_nulls()).all()
