"""Training on real Ray Train workers, gloo between them."""

import json
import logging
import os
import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from sdt_model.bundle import Bundle
from sdt_model.config import TrainingConfig
from sdt_model.training import trainer as trainer_module
from sdt_model.training.trainer import Trainer
from tasks.archive.leases import making_of
from tasks.config.stages import RayConfig, Resources
from tasks.config.training import TrainConfig
from tasks.errors import WorkflowError
from tasks.registry.models import production
from tasks.storage.lease import lease
from tasks.storage.workspace import Workspace
from tasks.training import worker as worker_module
from tasks.training.plan import TrainPlan, plan_training
from tasks.training.run import TrainingContext
from tasks.training.train import train
from tasks.training.worker import build_trainer, train_worker
from tests.fixtures import archives as made
from tests.fixtures import conversations as made_conversations
from tests.fixtures.executor.local import LOCAL


def config(workspace: Workspace, training: TrainingConfig, **more: Any) -> TrainConfig:
    settings = {"workspace": workspace.url, "archive": "made", "training": training, "ray": LOCAL}
    return TrainConfig(**{**settings, **more})


def ten_steps(settings: dict[str, Any]) -> None:
    from ray.train.torch import get_device, prepare_model

    plan = TrainPlan.model_validate(settings["plan"])
    with tempfile.TemporaryDirectory() as scratch:
        trainer = build_trainer(plan, Path(scratch), get_device(), prepare_model)
        trainer.network.train()
        count = len(trainer.data.train.lengths)
        batches = [[(5 * step + i) % count for i in range(5)] for step in range(10)]
        shares = torch.stack([trainer.step(batch, "here") for batch in batches])
        trainer_module.EVALUATION_UTTERANCES = 16  # so that each worker has some of it
        scores = trainer.evaluate(trainer.data.dev, "dev")
        if trainer.workers > 1:
            torch.distributed.all_reduce(shares)
        if trainer.rank == 0:
            found = {"losses": shares[:, 0].tolist(), "scores": scores}
            Path(settings["out"], f"{trainer.workers}.json").write_text(json.dumps(found))


@pytest.mark.usefixtures("ray_session")
def test_two_workers_and_one_give_the_same_losses_and_scores(workspace: Workspace, tmp_path: Path) -> None:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    made.archive(workspace, conversations=48, missing=0.3)
    plan = plan_training(workspace, config(workspace, made_conversations.training()))
    found = []
    for workers in (1, 2):
        TorchTrainer(
            ten_steps,
            train_loop_config={"plan": plan.model_dump(mode="json"), "out": str(tmp_path)},
            scaling_config=ScalingConfig(num_workers=workers, resources_per_worker={"CPU": 1}),
            run_config=RunConfig(name=f"w{workers}", storage_path=str(tmp_path)),
        ).fit()
        found.append(json.loads((tmp_path / f"{workers}.json").read_text()))
    one, two = found
    assert one["losses"][-1] < one["losses"][0]
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-5)
    assert two["scores"] == pytest.approx(one["scores"]) and 0 < one["scores"]["dev_accuracy"] < 1


def dies_once(context: TrainingContext, plan: TrainPlan) -> None:
    """The real training loop, in a worker that is killed before its third epoch."""
    marker, epoch = Path(plan.workspace, "killed"), Trainer.epoch

    def fatal(trainer: Trainer, number: int) -> dict[str, float]:
        if number == 2 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return epoch(trainer, number)

    Trainer.epoch = fatal  # type: ignore[method-assign]
    train_worker(context, plan)


@pytest.mark.usefixtures("ray_session")
def test_it_goes_on_from_the_last_checkpoint_after_a_worker_dies(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.archive(workspace)
    settings = config(workspace, made_conversations.training(epochs=4, patience=4, seed=os.getpid()), ray=RayConfig())
    monkeypatch.setattr(worker_module, "train_worker", dies_once)
    report = train(settings)
    assert report.epochs == 4
    monkeypatch.setattr(worker_module, "train_worker", train_worker)
    undisturbed = Workspace(f"{workspace.url}-undisturbed")
    made.archive(undisturbed)
    again = train(settings.model_copy(update={"workspace": undisturbed.url}))
    assert again == report
    weights = f"models/{report.model_id}/model.safetensors"
    assert workspace.read_bytes(weights) == undisturbed.read_bytes(weights)


@pytest.mark.usefixtures("ray_session")
def test_without_ray_it_is_the_same_model(workspace: Workspace) -> None:
    made.archive(workspace)
    alone = Workspace(f"{workspace.url}-alone")
    made.archive(alone)
    training = made_conversations.training(epochs=2, dropout=0.1)
    settings = config(workspace, training, resources=Resources(cpus=1), ray=RayConfig())
    report = train(settings)
    assert train(settings.model_copy(update={"workspace": alone.url, "ray": LOCAL})) == report
    for name in ("model.safetensors", "bundle.json", "metrics.json"):
        assert workspace.read_bytes(f"{report.path}/{name}") == alone.read_bytes(f"{report.path}/{name}"), name
    assert alone.files("models/.runs") == []


@pytest.mark.usefixtures("ray_session")
def test_it_makes_a_bundle_once_and_promotes_it(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    import ray

    made.archive(workspace)
    settings = config(
        workspace, made_conversations.training(epochs=12, patience=3, dropout=0.1), workers=2, ray=RayConfig()
    )
    with caplog.at_level(logging.INFO, "sdt.train"):
        report = train(settings)
    for worker in (1, 2):
        assert f"train: worker {worker} of 2 is on node {ray.util.get_node_ip_address()}" in caplog.messages
    assert report.metrics["dev_weighted_f1"] > 0.6 and report.metrics["best_epoch"] < report.epochs <= 12
    assert report.metrics["paper_protocol_test_weighted_f1"] >= report.metrics["test_weighted_f1"]
    assert production(workspace) == report.model_id
    files = {path.rsplit("/", 1)[-1] for path in workspace.files(report.path)}
    assert files == {"model.safetensors", "bundle.json", "metrics.json", "history.json", "README.md", "SHA256SUMS"}
    history = workspace.read_json(f"{report.path}/history.json")
    assert len(history) == report.epochs and {"loss", "task", "ce.text", "dev_weighted_f1"} <= history[0].keys()
    assert workspace.files("models/.runs") == []
    bundle = Bundle.model_validate_json(workspace.read_bytes(f"{report.path}/bundle.json"))
    assert bundle.emotions == made.EMOTIONS and set(bundle.features) == {"text", "audio", "visual"}
    assert bundle.calibration_temperature != 1.0 and set(bundle.student_temperatures) == set(bundle.features)
    assert bundle.held_out is not None and set(bundle.held_out.emotions) == set(made.EMOTIONS)
    assert sum(bundle.held_out.emotions.values()) == pytest.approx(bundle.held_out.conversations)
    scores = report.metrics
    assert scores["dev_ece_before"] != scores["dev_ece_after"] and 0 < scores["test_ece_after"] < 0.5
    again = train(settings)
    assert again.epochs == 0 and again.metrics == report.metrics


@pytest.mark.long
def test_of_two_runs_of_one_model_only_one_trains(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    """The other waits for its end, as no sign of life comes sooner, and finds the model there."""
    made.archive(workspace)
    settings = config(workspace, made_conversations.training(epochs=4, patience=4), lease_s=3600.0)
    with caplog.at_level(logging.WARNING, "sdt.lease"), ThreadPoolExecutor() as pool:
        reports = list(pool.map(train, (settings, settings)))
    assert sorted(report.epochs for report in reports) == [0, 4] and reports[0].metrics == reports[1].metrics
    assert f"train: model {reports[0].model_id!r}: held by " in caplog.text
    assert workspace.files("leases") == []


@pytest.mark.long
def test_a_model_that_a_living_run_trains_is_left_to_it(workspace: Workspace) -> None:
    made.archive(workspace)
    settings = config(workspace, made_conversations.training())
    name = plan_training(workspace, settings).bundle.model_id
    with (
        lease(workspace, making_of("train", "model", name), 20.0, "other"),
        pytest.raises(WorkflowError, match=rf"another run is writing model '{name}'\n.*run other"),
    ):
        train(settings)
    assert workspace.files("models") == []


@pytest.mark.usefixtures("lost_lease")
def test_a_run_whose_lease_another_took_writes_no_model(workspace: Workspace) -> None:
    made.archive(workspace)
    with pytest.raises(WorkflowError, match="another took over"):
        train(config(workspace, made_conversations.training(epochs=1)))
    assert not [path for path in workspace.files("models") if not path.startswith("models/.runs/")]


def test_a_non_finite_loss_stops_the_run_and_says_where(workspace: Workspace) -> None:
    made.archive(workspace)
    settings = config(workspace, made_conversations.training(learning_rate=1e30))
    again = r"(?s)training failed, and would again.*the loss is .* at epoch 0, step \d+.*largest gradient"
    with pytest.raises(WorkflowError, match=again):
        train(settings)
    assert not [name for name in workspace.files("models") if "fault" in name]


@pytest.mark.parametrize(
    ("part", "changed", "modalities", "said"),
    [
        (
            "objective",
            {"class_weights": {"joy": 1.0, "awe": 2.0}},
            None,
            "class_weights name awe, joy, and the archive ",
        ),
        ("model", {"transformers": "inter"}, ("text",), "is `inter`, and there is one modality, text"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_ray_is_asked_for_workers(
    workspace: Workspace, part: str, changed: dict[str, Any], modalities: tuple[str, ...] | None, said: str
) -> None:
    made.archive(workspace)
    training = made_conversations.training()
    training = training.model_copy(update={part: getattr(training, part).model_copy(update=changed)})
    with pytest.raises(WorkflowError, match=said):
        plan_training(workspace, config(workspace, training, modalities=modalities))


def test_modalities_are_those_of_the_network_whatever_their_order(workspace: Workspace, tmp_path: Path) -> None:
    made.archive(workspace)
    given = (("audio", "text"), ("text", "audio"), ("audio", "text", "audio"))
    plans = [plan_training(workspace, config(workspace, made_conversations.training(), modalities=m)) for m in given]
    assert plans[0] == plans[1] == plans[2] and list(plans[0].bundle.features) == ["text", "audio"]
    trainer = build_trainer(plans[0], tmp_path, torch.device("cpu"))
    assert tuple(trainer.data.train.features) == trainer.plain.modalities == ("text", "audio")
    with pytest.raises(ValueError, match="name at least one of text, audio, visual"):
        config(workspace, made_conversations.training(), modalities=())


def test_missing_features_name_the_command(workspace: Workspace) -> None:
    made.archive(workspace, modalities=("text",))
    wanted = config(workspace, made_conversations.training(), modalities=("text", "audio"))
    with pytest.raises(WorkflowError, match=r"(?s)no complete audio features of opensmile.*sdt extract made"):
        plan_training(workspace, wanted)


def test_the_model_takes_the_modalities_that_have_features(workspace: Workspace) -> None:
    made.archive(workspace, modalities=("text",))
    assert set(plan_training(workspace, config(workspace, made_conversations.training())).bundle.features) == {"text"}


def test_features_of_another_archive_than_the_model_is_named_after_are_not_read(
    workspace: Workspace, tmp_path: Path
) -> None:
    made.archive(workspace)
    plan = plan_training(workspace, config(workspace, made_conversations.training()))
    made.archive(workspace, seed=9)
    with pytest.raises(WorkflowError, match="train: archive 'made' was ingested anew while this ran"):
        build_trainer(plan, tmp_path, torch.device("cpu"))
