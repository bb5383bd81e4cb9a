"""Ray Train's side of a training run, whatever is trained: workers, checkpoints, retries, lines for the log."""

import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, Result, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device, prepare_model
from ray.util.queue import Empty, Queue
from torch import nn

from sdt_model.ops.malloc import ONE_ARENA
from tasks.storage.workspace import Workspace
from tasks.training.run import SavedCheckpoint, TrainingRun, Worker, given_up, is_lasting, lasting

log = logging.getLogger("sdt.train")

# A worker that reports an epoch waits until Ray Train's controller has looked again: every 2 s, unless this says less.
POLL_VARIABLE, POLL_S = "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2"


def fit_on_ray(run: TrainingRun) -> SavedCheckpoint | None:
    """Train on Ray Train's data-parallel workers; the last checkpoint.

    Raises:
        WorkflowError: training failed for good.
    """
    workspace = run.workspace
    os.environ.setdefault(POLL_VARIABLE, POLL_S)  # which Ray Train hands on to the controller
    # With the same name and storage Ray Train finds the checkpoints of an interrupted run and goes on from the last.
    settings = RunConfig(  # type: ignore[call-arg]  # mypy sees the class of earlier versions
        name=run.name,
        storage_path=workspace.path(run.runs),
        storage_filesystem=workspace.arrow_fs,
        failure_config=FailureConfig(max_failures=run.retries),
        checkpoint_config=CheckpointConfig(num_to_keep=2),
        worker_runtime_env={"env_vars": ONE_ARENA},  # Ray Train runs a worker's function in a thread of its own
    )
    scaling = ScalingConfig(
        num_workers=run.workers,
        use_gpu=run.resources.gpus > 0,
        resources_per_worker=run.resources.asked(),
    )
    if workspace.is_local:
        Path(workspace.path(run.runs)).mkdir(parents=True, exist_ok=True)
    fault = f"{run.folder}-fault.json"
    _take_fault(workspace, fault)
    with _epoch_lines(run.stage) as queue:
        work = partial(_run_worker, run.worker, workspace, fault)
        loop_config = {"plan": run.plan, "queue": queue}
        try:
            trainer = _Trainer(work, train_loop_config=loop_config, scaling_config=scaling, run_config=settings)
            result = _fit(trainer)
        finally:
            message = _take_fault(workspace, fault)
    if message is not None:
        raise lasting(message)
    checkpoint: Checkpoint | None = result.checkpoint
    return checkpoint


@dataclass(frozen=True)
class RayTrainContext:
    """A worker's view of its run, as Ray Train knows it; ``queue`` takes lines to the command."""

    queue: Queue

    @property
    def rank(self) -> int:
        """Its number among the workers, from 0."""
        return int(ray.train.get_context().get_world_rank())

    @property
    def workers(self) -> int:
        """How many there are."""
        return int(ray.train.get_context().get_world_size())

    @cached_property
    def device(self) -> torch.device:
        """The GPU that is this worker's, or the CPU."""
        device: torch.device = get_device()
        return device

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network, made to average its gradients over the workers."""
        wrapped: nn.Module = prepare_model(network)
        return wrapped

    def latest_checkpoint(self) -> SavedCheckpoint | None:
        """Where to go on from; None at the beginning."""
        checkpoint: Checkpoint | None = ray.train.get_checkpoint()
        return checkpoint

    def report(self, scores: dict[str, float], folder: Path | None) -> None:
        """Hand in an epoch; every worker must, and all wait for one another."""
        ray.train.report(scores, checkpoint=Checkpoint.from_directory(folder) if folder else None)

    def tell(self, line: str) -> None:
        """Log a line where the command runs."""
        self.queue.put(json.dumps({"line": line}))


def _run_worker(worker: Worker, workspace: Workspace, fault: str, loop_config: dict[str, Any]) -> None:
    """Run the worker, unless the attempt before met what would come again; one of several first says where it is."""
    if workspace.exists(fault):
        return
    context = RayTrainContext(loop_config["queue"])
    if context.workers > 1:
        node = ray.util.get_node_ip_address()
        context.tell(f"worker {context.rank + 1} of {context.workers} is on node {node}")
    try:
        worker(context, loop_config["plan"])
    except Exception as error:
        if is_lasting(error):  # Ray Train, which cannot tell it from a machine that failed, would try again
            workspace.write_json(fault, str(error))
        raise


def _take_fault(workspace: Workspace, fault: str) -> str | None:
    """What an attempt's fault was, or None; after this it is not known any more."""
    if not workspace.exists(fault):
        return None
    message: str = workspace.read_json(fault)
    workspace.remove(fault)
    return message


class _Trainer(TorchTrainer):
    """A trainer that leaves Ctrl-C to the command.

    Ray Train's own handler ends an interrupted command with exit code 0, and stays when the training is over.
    """

    def _register_sigint_handler(self, controller: Any) -> None:
        pass


def _fit(trainer: TorchTrainer) -> Result:
    try:
        return trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise given_up(getattr(error, "worker_failures", {}), error) from error


@contextmanager
def _epoch_lines(stage: str) -> Iterator[Queue]:
    """A queue whose records become log lines, here in the driver: where a worker is, and one an epoch."""
    queue = Queue(actor_options={"num_cpus": 0})
    over = threading.Event()

    def follow() -> None:
        while True:
            try:
                record: dict[str, Any] = json.loads(queue.get(timeout=0.5))
            except Empty:
                if over.is_set():
                    return
                continue
            except ray.exceptions.RayError:  # Ray was let go of by an interrupt, and the queue with it
                return
            log.info("%s: %s", stage, record["line"])

    # In the caller's context: a log handler may ask it which run a line belongs to.
    thread = threading.Thread(target=copy_context().run, args=(follow,), name="epoch-lines", daemon=True)
    thread.start()
    try:
        yield queue
    finally:
        over.set()
        thread.join()
        queue.shutdown()
