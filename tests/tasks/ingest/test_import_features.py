"""Published features: in, trained on, labelled with, and refused elsewhere."""

import os
import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sdt_model.config import MODALITIES
from tasks.archive.facts import FeatureFacts, IngestFacts
from tasks.archive.manifests import read_archive
from tasks.archive.schema import features_schema
from tasks.config.stages import ExtractConfig, ExtractorNames, IngestConfig, LabelConfig
from tasks.config.training import TrainConfig
from tasks.errors import StageFailed, WorkflowError
from tasks.extract.stage import extract
from tasks.features.table import NOT_FINITE
from tasks.ingest.stage import ingest
from tasks.label.stage import label
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace
from tasks.training.plan import plan_training
from tasks.training.train import train
from tests.fixtures import archives as made
from tests.fixtures import conversations as made_conversations
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.sources.pickles import DIMS, Hostile, fields, write
from tests.fixtures.vectors import vector_lists


def bring(workspace: Workspace, path: Path, archive: str = "paper") -> Manifest:
    config = IngestConfig(
        workspace=workspace.url, ray=LOCAL, archive=archive, kind="sdt-pickle", path=str(path), shards=3
    )
    return ingest(config)


@pytest.mark.long
@pytest.mark.parametrize("name", ["SDT on MELD", "COSMIC on IEMOCAP"])
def test_each_utterance_has_its_own_vectors(workspace: Workspace, tmp_path: Path, name: str) -> None:
    archive = bring(workspace, write(tmp_path / "features.pkl", name))
    expected = fields(name)
    place = {str(key): key for key in expected["labels"]}
    utterances = pl.concat([pl.read_parquet(workspace.path(shard.path)) for shard in archive.shards])
    assert archive.rows == len(utterances) == sum(map(len, expected["labels"].values()))
    assert archive.counts["rejected"] == 0 and IngestFacts.of(archive).layout == name
    for modality in ("text",) if name.startswith("COSMIC") else MODALITIES:
        manifest = extract(ExtractConfig(workspace=workspace.url, ray=LOCAL, archive="paper"), modality)
        assert manifest is not None and FeatureFacts.of(manifest).extractor == "given"
        assert manifest.counts == {"rows": archive.rows, "present": archive.rows, "failed": 0, "absent": 0}
        for made_of, of in zip(manifest.shards, archive.shards, strict=True):
            table = workspace.read_table(made_of.path)
            assert table.schema.equals(features_schema(DIMS[modality]))
            assert made_of.path.endswith(f"part-{of.index:05d}-{of.sha256[:12]}.parquet")
            assert table.select(["conversation_id", "turn"]).equals(
                workspace.read_table(of.path, ["conversation_id", "turn"])
            )
            for row, vector in zip(table.to_pylist(), vector_lists(table), strict=True):
                layers = ["text1", "text2", "text3", "text4"] if name.startswith("COSMIC") else [f"{modality}1"]
                layers = layers if modality == "text" else [modality]
                true = np.mean([expected[f][place[row["conversation_id"]]][row["turn"]] for f in layers], axis=0)
                np.testing.assert_allclose(vector, true, rtol=1e-5, atol=1e-6)


@pytest.mark.long
def test_again_does_nothing_and_removed_features_come_back_the_same(workspace: Workspace, tmp_path: Path) -> None:
    path = write(tmp_path / "features.pkl", "MMGCN on MELD")
    first, before = bring(workspace, path), made.stamps(workspace)
    assert not any("/scan/" in name for name in before)
    assert bring(workspace, path) == first and made.stamps(workspace) == before
    gone = next(name for name in before if name.startswith("features/paper/audio"))
    content = {name: workspace.read_bytes(name) for name in before}
    workspace.remove_folder(gone.rsplit("/", 1)[0])
    assert bring(workspace, path) == first
    assert {name: workspace.read_bytes(name) for name in made.stamps(workspace)} == content


@pytest.mark.long
def test_other_vectors_are_other_features(workspace: Workspace, tmp_path: Path) -> None:
    name = "MMGCN on MELD"
    first = bring(workspace, write(tmp_path / "features.pkl", name))
    louder = {key: [2 * row for row in rows] for key, rows in fields(name)["audio"].items()}
    second = bring(workspace, write(tmp_path / "features.pkl", name, audio=louder))
    before, after = ([one.fingerprint for one in IngestFacts.of(manifest).precomputed] for manifest in (first, second))
    assert set(before).isdisjoint(after)
    sources = plan_training(workspace, TrainConfig(workspace=workspace.url, ray=LOCAL, archive="paper")).bundle.features
    assert [sources[m].fingerprint for m in MODALITIES] == after


@pytest.mark.long
def test_no_number_is_a_reason_and_no_words_are_none_against_it(workspace: Workspace, tmp_path: Path) -> None:
    name = "MMGCN on MELD"
    plain = fields(name)
    plain["audio"][4][1] = np.array([1, np.nan, 1, 1, 1, 1])
    plain["sentences"][4][1] = " "
    archive = bring(workspace, write(tmp_path / "features.pkl", name, **{k: plain[k] for k in ("audio", "sentences")}))
    assert archive.counts["rejected"] == 0
    manifest = extract(ExtractConfig(workspace=workspace.url, ray=LOCAL, archive="paper"), "audio")
    assert manifest is not None and manifest.counts["failed"] == 1 and manifest.counts["present"] == archive.rows - 1
    rows = [row for shard in manifest.shards for row in workspace.read_table(shard.path).to_pylist()]
    (bad,) = [row for row in rows if row["reason"] is not None]
    assert (bad["conversation_id"], bad["turn"], bad["vector"], bad["reason"]) == ("4", 1, None, NOT_FINITE)


@pytest.mark.long
def test_a_hostile_file_makes_no_archive_and_runs_nothing(workspace: Workspace, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = write(tmp_path / "features.pkl", "SDT on MELD", rest=Hostile(os.system, f"touch {mark}"))
    with pytest.raises(StageFailed, match=r"features\.pkl: refused, it asks for posix\.system"):
        bring(workspace, path)
    payload = np.array([Hostile(eval, f"open({str(mark)!r}, 'w')")], dtype=object)
    path.write_bytes(pickle.dumps(("a", payload)))
    with pytest.raises(StageFailed, match=r"features\.pkl: refused, it asks for numpy\.dtype\('O8'\)"):
        bring(workspace, path)
    assert not mark.exists() and not workspace.files("features")
    with pytest.raises(WorkflowError, match="archive 'paper' is not in"):
        read_archive(workspace, "paper")


@pytest.mark.long
def test_an_extractor_that_is_named_makes_its_own(workspace: Workspace, tmp_path: Path) -> None:
    bring(workspace, write(tmp_path / "features.pkl", "MMGCN on MELD"))
    names = ExtractorNames(text="minilm")
    config = TrainConfig(workspace=workspace.url, ray=LOCAL, archive="paper", extractors=names)
    assert set(plan_training(workspace, config).bundle.features) == {"audio", "visual"}
    text = extract(ExtractConfig(workspace=workspace.url, ray=LOCAL, archive="paper", extractors=names), "text")
    assert text is not None and FeatureFacts.of(text).extractor == "minilm"
    found = plan_training(workspace, config).bundle.features
    assert {m: source.extractor for m, source in found.items()} == {
        "text": "minilm",
        "audio": "given",
        "visual": "given",
    }


@pytest.mark.long
def test_the_papers_experiment_is_two_commands_and_its_model_labels_no_other_archive(
    workspace: Workspace, tmp_path: Path
) -> None:
    archive = bring(workspace, write(tmp_path / "features.pkl", "SDT on IEMOCAP"))
    training = made_conversations.training(epochs=2)
    report = train(TrainConfig(workspace=workspace.url, ray=LOCAL, archive="paper", training=training))
    assert report.epochs == 2 and "test_weighted_f1" in report.metrics
    labels = label(LabelConfig(workspace=workspace.url, ray=LOCAL, archive="paper"))
    assert labels.rows == labels.ok == archive.rows
    made.archive(workspace)
    with pytest.raises(
        WorkflowError, match=r"takes text features of given \(\w+\), and archive 'made' has no complete ones"
    ):
        label(LabelConfig(workspace=workspace.url, ray=LOCAL, archive="made"))
    asked = ExtractConfig(workspace=workspace.url, ray=LOCAL, archive="made", extractors=ExtractorNames(text="given"))
    with pytest.raises(WorkflowError, match="archive 'made' came without text features"):
        extract(asked, "text")
    again = bring(workspace, tmp_path / "features.pkl", "again")
    assert label(LabelConfig(workspace=workspace.url, ray=LOCAL, archive="again")).ok == again.rows
