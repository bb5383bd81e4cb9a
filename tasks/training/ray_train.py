"""Ray Train's side of a training run, whatever is trained: workers, checkpoints, retries, lines for the log."""

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, Result, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.util.queue import Empty, Queue

from sdt_model.ops.malloc import ONE_ARENA
from sdt_model.training.trainer import NonFiniteLoss
from tasks.config.stages import Resources
from tasks.errors import WorkflowError
from tasks.executor.capacity import cores_each, working_nodes
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.train")

# A worker that reports an epoch waits until Ray Train's controller has looked again: every 2 s, unless this says less.
POLL_VARIABLE, POLL_S = "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2"

# From the same checkpoint these come again; Ray Train, which cannot tell them from a machine that failed, would try.
_COME_AGAIN = (NonFiniteLoss, WorkflowError)

Worker = Callable[[dict[str, Any]], None]


def worker_resources(resources: Resources | None, workers: int) -> Resources:
    """What one worker gets: as configured, or an equal share of the cluster's cores, all of them on one node."""
    return resources or Resources(cpus=cores_each(working_nodes(), workers))


def fit(
    workspace: Workspace, runs: str, name: str, worker: Worker, plan: Any, workers: int, resources: Resources,
    retries: int, what: str = "train",
) -> Checkpoint:  # fmt: skip
    """Run ``worker`` with ``plan`` on data-parallel workers; the last checkpoint. Checkpoints lie in runs/name.

    Raises:
        WorkflowError: training failed for good.
    """
    os.environ.setdefault(POLL_VARIABLE, POLL_S)  # which Ray Train hands on to the controller
    # With the same name and storage Ray Train finds the checkpoints of an interrupted run and goes on from the last.
    run = RunConfig(  # type: ignore[call-arg]  # mypy sees the class of earlier versions
        name=name,
        storage_path=workspace.path(runs),
        storage_filesystem=workspace.arrow_fs,
        failure_config=FailureConfig(max_failures=retries),
        checkpoint_config=CheckpointConfig(num_to_keep=2),
        worker_runtime_env={"env_vars": ONE_ARENA},  # Ray Train runs a worker's function in a thread of its own
    )
    scaling = ScalingConfig(
        num_workers=workers,
        use_gpu=resources.gpus > 0,
        resources_per_worker=resources.asked(),
    )
    if workspace.is_local:
        Path(workspace.path(runs)).mkdir(parents=True, exist_ok=True)
    fault = f"{runs}/{name}-fault.json"
    _forget(workspace, fault)
    with _epoch_lines(what) as queue:
        settings = {"plan": plan.model_dump(mode="json"), "queue": queue}
        placed = partial(_placed, worker, workspace, fault)
        try:
            result = _fit(TorchTrainer(placed, train_loop_config=settings, scaling_config=scaling, run_config=run))
        finally:
            said = _forget(workspace, fault)
    if said is not None:
        raise WorkflowError(f"training failed, and would again from its last checkpoint\n  {said}")
    if result.checkpoint is None:
        raise WorkflowError(f"training of {name} ended without a checkpoint in {workspace.uri(runs)}")
    checkpoint: Checkpoint = result.checkpoint
    return checkpoint


def _placed(worker: Worker, workspace: Workspace, fault: str, settings: dict[str, Any]) -> None:
    """Run the worker, unless the attempt before met what would come again; one of several first says where it is."""
    if workspace.exists(fault):
        return
    context = ray.train.get_context()
    if (workers := context.get_world_size()) > 1:
        place = f"worker {context.get_world_rank() + 1} of {workers} is on node {ray.util.get_node_ip_address()}"
        settings["queue"].put(json.dumps({"line": place}))
    try:
        worker(settings)
    except _COME_AGAIN as error:
        workspace.write_json(fault, str(error))
        raise


def _forget(workspace: Workspace, fault: str) -> str | None:
    """What an attempt's fault was, or None; after this it is not known any more."""
    if not workspace.exists(fault):
        return None
    said: str = workspace.read_json(fault)
    workspace.remove(fault)
    return said


def _fit(trainer: TorchTrainer) -> Result:
    try:
        return trainer.fit()
    except ray.train.TrainingFailedError as error:
        reasons = "\n".join(
            f"  worker {rank}: {cause}" for rank, cause in getattr(error, "worker_failures", {}).items()
        )
        raise WorkflowError(f"training failed and was not retried any more\n{reasons or error}") from error


@contextmanager
def _epoch_lines(what: str) -> Iterator[Queue]:
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
            log.info("%s: %s", what, record["line"])

    # In the caller's context: a log handler may ask it which run a line belongs to.
    thread = threading.Thread(target=copy_context().run, args=(follow,), name="epoch-lines", daemon=True)
    thread.start()
    try:
        yield queue
    finally:
        over.set()
        thread.join()
        queue.shutdown()
