"""One worker's fine-tuning, in this process: what it reads, and that its steps are a function of seed and state."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import torch

from sdt_model.text_encoder.encoder import Tokenizer
from sdt_model.text_encoder.inputs import pack_windows
from sdt_model.text_encoder.trainer import Finetuner
from sdt_model.training.trainer import NonFiniteLoss
from tasks.archive.layout import features_folder, features_path
from tasks.archive.manifests import read_archive
from tasks.archive.schema import KEY
from tasks.errors import WorkflowError
from tasks.extractors.base import Extracted
from tasks.features.reader import FeatureFolder
from tasks.features.table import feature_rows
from tasks.finetuning.worker import FinetunePlan, build_finetuner, finetune_epoch, gather_texts
from tasks.storage.workspace import Workspace
from tests.fixtures.encoders.finetuned import spoken_archive, tiny_encoder
from tests.fixtures.training.finetuning import planned


@pytest.fixture
def tiny(workspace: Workspace, tmp_path: Path) -> str:
    spoken_archive(workspace, conversations=20)
    return str(tiny_encoder(tmp_path / "tiny"))


def built(plan: FinetunePlan) -> Finetuner:
    return build_finetuner(plan, torch.device("cpu"))


def test_folds_part_the_training_split_and_leave_dev_and_test_alone(workspace: Workspace, tiny: str) -> None:
    words = Tokenizer(Path(tiny))
    whole = gather_texts(workspace, planned(workspace, tiny), words)
    plan = planned(workspace, tiny, folds=3)
    parts = [gather_texts(workspace, plan.model_copy(update={"fold": fold}), words) for fold in range(3)]
    sizes = [len(part["train"].labels) for part in parts]
    assert sum(sizes) == 2 * len(whole["train"].labels) and min(sizes) > 0
    for part in parts:
        assert all(np.array_equal(part[name].labels, whole[name].labels) for name in ("dev", "test"))


@pytest.mark.long
def test_a_restored_state_goes_on_as_if_nothing_had_happened(workspace: Workspace, tiny: str) -> None:
    plan = planned(workspace, tiny, context=2)
    straight, again = built(plan), built(plan)
    straight.epoch(0)
    again.restore(straight.state())
    assert straight.epoch(1) == again.epoch(1)
    expected, found = straight.state(), again.state()
    assert expected.keys() == found.keys() and all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.long
def test_it_learns_what_the_words_give_away(workspace: Workspace, tiny: str) -> None:
    finetuner = built(planned(workspace, tiny, epochs=12))
    losses = [finetune_epoch(finetuner, number) for number in range(12)]
    assert losses[-1]["loss"] < losses[0]["loss"] / 2 and losses[-1]["dev_weighted_f1"] > 0.6


def test_a_non_finite_loss_stops_it_and_says_where(workspace: Workspace, tiny: str) -> None:
    finetuner = built(planned(workspace, tiny, learning_rate=1e30))
    with pytest.raises(NonFiniteLoss, match=r"the loss is .* at epoch 0, step \d+"):
        finetuner.epoch(0)


def taught(workspace: Workspace, plan: FinetunePlan, chance: np.random.Generator) -> FinetunePlan:
    """A plan whose teacher's features are made up; the archive's third utterance has none."""
    width = 4 + len(plan.emotions)
    folder = features_folder("spoken", "text", "made-up")
    for shard in read_archive(workspace, "spoken").shards:
        keys = workspace.read_table(shard.path, list(KEY))
        vectors = chance.normal(size=(keys.num_rows, width)).astype(np.float32)
        valid = np.arange(keys.num_rows) != 2
        made = Extracted(vectors, valid, [None] * keys.num_rows)
        table, _ = feature_rows(keys, made, width, "made-up")
        with workspace.publish(features_path(folder, shard)) as local:
            pq.write_table(table, local)
    return plan.model_copy(update={"teacher": FeatureFolder("text", width, folder)})


def test_what_a_teacher_says_is_learned_beside_the_label(workspace: Workspace, tiny: str) -> None:
    plan = taught(workspace, planned(workspace, tiny, balance=0.5, distil=0.25), np.random.default_rng(0))
    finetuner = built(plan)
    train = finetuner.splits["train"]
    assert train.taught is not None and finetuner.splits["dev"].taught is None
    says = train.taught.sum(axis=1)
    assert len(says) == len(train.labels) and np.isin(says.round(5), (0, 1)).all() and (says == 0).any()

    batch = train.windows[:12]
    rows = [row for window in batch for row in window.rows]
    finetuner.encoder.eval()  # no dropout
    with torch.no_grad():
        logs = finetuner.encoder(pack_windows(batch, 0))[1].log_softmax(dim=-1).numpy()
    truth = np.eye(len(plan.emotions))[train.labels[rows]]
    counts = np.bincount(train.labels[train.labels >= 0])
    weights = (counts / counts.sum())[train.labels[rows]] ** -0.5
    target = 0.75 * truth + 0.25 * train.taught[rows]
    expected = -(weights[:, None] * target * logs).sum() / weights.sum()
    assert finetuner._step(batch, 0.5, "here") == pytest.approx(expected, rel=1e-5)


@pytest.mark.long
def test_minilm_for_one_epoch(workspace: Workspace) -> None:
    spoken_archive(workspace, conversations=5)
    finetuner = built(planned(workspace, "minilm", epochs=1, learning_rate=1e-4))
    before = finetuner.encoder.head.weight.clone()
    scores = finetune_epoch(finetuner, 0)
    assert np.isfinite(scores["loss"]) and not torch.equal(before, finetuner.encoder.head.weight)
    assert finetuner.encoder.dim == 384 + 3


def test_annotations_without_a_text_are_nothing_to_choose_an_epoch_by(workspace: Workspace, tiny: str) -> None:
    plan = planned(workspace, tiny)
    for shard in read_archive(workspace, "spoken").shards:
        rows = pl.DataFrame(workspace.read_table(shard.path))
        assert rows.filter(pl.col("text").is_null())["emotion"].is_not_null().any()
        silent = rows.with_columns(emotion=pl.when(pl.col("text").is_null()).then("emotion"))
        silent.write_parquet(workspace.path(shard.path))
    with pytest.raises(WorkflowError, match="no annotated text for the train split"):
        gather_texts(workspace, plan, Tokenizer(Path(tiny)))


def test_texts_of_another_archive_than_the_encoder_is_named_after_are_not_read(workspace: Workspace, tiny: str) -> None:
    plan = planned(workspace, tiny).model_copy(update={"data_fingerprint": "before"})
    with pytest.raises(WorkflowError, match="finetune: archive 'spoken' was ingested anew while this ran"):
        gather_texts(workspace, plan, Tokenizer(Path(tiny)))
