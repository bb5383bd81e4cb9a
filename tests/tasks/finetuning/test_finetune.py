"""Fine-tuning a tiny encoder on real Ray Train workers, and what extract, train and label then make of it."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from sdt_model.text_encoder.trainer import Finetuner
from tasks.archive.facts import FeatureFacts
from tasks.archive.layout import features_folder
from tasks.archive.leases import making_of
from tasks.archive.manifests import read_archive
from tasks.config.stages import ExtractConfig, ExtractorNames, LabelConfig, RayConfig
from tasks.config.training import FinetuneConfig, TrainConfig
from tasks.errors import WorkflowError
from tasks.extract.stage import extract
from tasks.extractors.text.finetuned import load
from tasks.finetuning import finetune as finetune_module
from tasks.finetuning.finetune import finetune
from tasks.finetuning.plan import encoder_name
from tasks.finetuning.worker import FinetunePlan, build_finetuner, finetune_epoch, finetune_worker
from tasks.label.stage import label
from tasks.registry.encoders import EncoderDescription, base_files, find_encoder
from tasks.storage.lease import lease
from tasks.storage.workspace import Workspace
from tasks.training.run import TrainingContext
from tasks.training.train import train
from tests.fixtures import conversations as made_conversations
from tests.fixtures.encoders.finetuned import spoken_archive, tiny_encoder
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.training.finetuning import planned

CPU = torch.device("cpu")


def config(workspace: Workspace, encoder: Path, **more: Any) -> FinetuneConfig:
    settings = {"epochs": 2, "learning_rate": 5e-3, "batch_utterances": 8, "max_tokens": 32} | more
    settings = {"workspace": workspace.url, "archive": "spoken", "encoder": str(encoder), "ray": LOCAL} | settings
    return FinetuneConfig(**settings)


@pytest.mark.long
def test_folds_with_context_then_extract_train_and_label(workspace: Workspace, tmp_path: Path) -> None:
    spoken_archive(workspace)
    base = tiny_encoder(tmp_path / "tiny")
    (base / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\nTiny\n")
    settings = config(workspace, base, epochs=6, learning_rate=1e-2, folds=2, context=2)
    report = finetune(settings)
    assert find_encoder(workspace, report.encoder_id).licence == "cc-by-nc-4.0"
    assert report.epochs == 12 and report.metrics["dev_weighted_f1"] > 0.6
    names = {path.rsplit("/", 1)[-1] for path in workspace.files(report.path)}
    assert {"encoder.json", "seen.json", "model.safetensors", "head.safetensors", "tokenizer.json"} <= names
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in names)
    assert workspace.files("encoders/.runs") == []
    assert finetune(settings).model_dump(exclude={"epochs"}) == report.model_dump(exclude={"epochs"})
    assert finetune(settings).epochs == 0

    extractors = ExtractorNames(text=f"finetuned:{report.encoder_id}")
    made = extract(
        ExtractConfig(workspace=workspace.url, ray=LOCAL, archive="spoken", extractors=extractors, workers=1), "text"
    )
    assert made is not None and FeatureFacts.of(made).dim == 16 + 3
    shards = [pl.read_parquet(workspace.path(shard.path)) for shard in made.shards]
    vectors = pl.concat(shards)["vector"]
    assert 0 < vectors.null_count() < len(vectors) / 5
    training = made_conversations.training(epochs=3)
    trained = train(
        TrainConfig(workspace=workspace.url, ray=LOCAL, archive="spoken", extractors=extractors, training=training)
    )
    labels = label(LabelConfig(workspace=workspace.url, ray=LOCAL, archive="spoken", model=trained.model_id, workers=1))
    assert labels.rows == len(vectors) and labels.failed == vectors.null_count()

    taught = finetune(settings.model_copy(update={"teacher": report.encoder_id, "epochs": 1, "folds": 1}))
    assert taught.encoder_id != report.encoder_id and taught.epochs == 1
    with pytest.raises(WorkflowError, match=r"cannot be the teacher on archive 'spoken': it has 1 fold, and learned"):
        finetune(settings.model_copy(update={"teacher": taught.encoder_id}))
    workspace.remove_folder(features_folder("spoken", "text", ""))
    with pytest.raises(WorkflowError, match=r"no complete text features of its teacher, (finetuned:\S+)\n.*=\1"):
        finetune(settings.model_copy(update={"teacher": report.encoder_id}))


@pytest.mark.usefixtures("ray_session")
def test_two_workers_learn_what_one_does(workspace: Workspace, tmp_path: Path) -> None:
    """Without dropout, which each worker draws by itself, the step is that of the global batch."""
    spoken_archive(workspace, conversations=20)
    folder = tiny_encoder(tmp_path / "tiny")
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('_dropout_prob": 0.1', '_dropout_prob": 0.0'))
    report = finetune(config(workspace, folder, epochs=1, workers=2, dropout=0.0, ray=RayConfig()))
    alone = finetune_epoch(build_finetuner(planned(workspace, str(folder), epochs=1, dropout=0.0), CPU), 0)
    for name, value in scores(workspace, report.encoder_id).items():
        if name in alone:
            assert value == pytest.approx(alone[name], abs=1e-4), name


def scores(workspace: Workspace, encoder_id: str) -> dict[str, float]:
    content = workspace.read_bytes(f"encoders/{encoder_id}/encoder.json")
    return EncoderDescription.model_validate_json(content).scores[0]


@pytest.mark.long
def test_an_encoder_that_a_living_run_makes_is_left_to_it(workspace: Workspace, tmp_path: Path) -> None:
    spoken_archive(workspace, conversations=5)
    tiny = tiny_encoder(tmp_path / "tiny")
    settings = config(workspace, tiny)
    name = encoder_name(settings, read_archive(workspace, "spoken"), base_files(tiny))
    with (
        lease(workspace, making_of("finetune", "encoder", name), 20.0, "other"),
        pytest.raises(WorkflowError, match=rf"another run is writing encoder '{name}'\n.*run other"),
    ):
        finetune(settings)
    assert workspace.files("encoders") == []


def test_what_is_damaged_of_an_encoder_is_made_again(workspace: Workspace, tmp_path: Path) -> None:
    """Whatever else is gone: hashes of damaged weights are never written."""
    spoken_archive(workspace, conversations=20)
    settings = config(workspace, tiny_encoder(tmp_path / "tiny"), epochs=1, folds=2)
    report = finetune(settings)
    whole = {path: workspace.read_bytes(path) for path in workspace.files(report.path)}
    for gone in ("SHA256SUMS", "encoder.json", None):
        if gone:
            workspace.remove(f"{report.path}/{gone}")
        workspace.write_bytes(f"{report.path}/1/model.safetensors", b"damaged")
        if gone != "encoder.json":
            with pytest.raises(WorkflowError, match=r": damaged: .*\n  make it anew with: sdt finetune-text"):
                load(workspace.path(report.path))
        assert finetune(settings).epochs == report.epochs == 2
        assert {path: workspace.read_bytes(path) for path in workspace.files(report.path)} == whole, gone


@pytest.mark.usefixtures("lost_lease")
def test_a_run_whose_lease_another_took_trains_no_further_fold(workspace: Workspace, tmp_path: Path) -> None:
    spoken_archive(workspace, conversations=5)
    with pytest.raises(WorkflowError, match="another took over"):
        finetune(config(workspace, tiny_encoder(tmp_path / "tiny")))
    assert all("/base/" in path for path in workspace.files("encoders"))


def test_too_many_tokens_are_refused_before_anything_is_written(workspace: Workspace, tmp_path: Path) -> None:
    spoken_archive(workspace, conversations=5)
    with pytest.raises(WorkflowError, match="max_tokens is 65"):
        finetune(config(workspace, tiny_encoder(tmp_path / "tiny"), max_tokens=65))
    assert workspace.files("encoders") == []


def dies_once(context: TrainingContext, plan: FinetunePlan) -> None:
    """The real loop, in a worker that is killed before its second epoch."""
    marker, epoch = Path(plan.workspace, "killed"), Finetuner.epoch

    def fatal(finetuner: Finetuner, number: int) -> dict[str, float]:
        if number == 1 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return epoch(finetuner, number)

    Finetuner.epoch = fatal  # type: ignore[method-assign]
    finetune_worker(context, plan)


@pytest.mark.usefixtures("ray_session")
def test_it_goes_on_from_the_last_checkpoint_after_a_worker_dies(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken_archive(workspace)
    undisturbed = Workspace(f"{workspace.url}-undisturbed")
    shutil.copytree(workspace.url, undisturbed.url)
    settings = config(workspace, tiny_encoder(tmp_path / "tiny"), ray=RayConfig())
    monkeypatch.setattr(finetune_module, "finetune_worker", dies_once)
    report = finetune(settings)
    assert Path(workspace.url, "killed").exists()
    monkeypatch.setattr(finetune_module, "finetune_worker", finetune_worker)
    assert finetune(settings.model_copy(update={"workspace": undisturbed.url})) == report
    weights = f"{report.path}/0/model.safetensors"
    assert workspace.read_bytes(weights) == undisturbed.read_bytes(weights)
