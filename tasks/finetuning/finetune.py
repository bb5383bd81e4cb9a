"""Fine-tune: texts of annotated conversations to an encoder, on data-parallel workers.

With folds = K > 1 it is K encoders, each trained without one K-th of the training conversations: what is learned from
the features of the training split afterwards then holds for conversations that no encoder has seen.
"""

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import polars as pl

from sdt_model.config import Frozen
from sdt_model.text_encoder.encoder import Tokenizer
from tasks.archive.layout import ENCODER_RUNS, encoder_folder
from tasks.archive.leases import making_of
from tasks.archive.manifests import read_archive
from tasks.archive.repair import reading
from tasks.config.training import FinetuneConfig
from tasks.errors import DamagedFile
from tasks.executor.capacity import training_resources
from tasks.finetuning.plan import check_length, encoder_name, placed, plan_finetuning
from tasks.finetuning.worker import FinetunePlan, finetune_worker, read_best
from tasks.registry.encoders import (
    DESCRIPTION,
    SEEN,
    EncoderDescription,
    base_files,
    base_folder,
    licence,
    local_folder,
    put_folder,
    read_encoder,
    trace,
    write_description,
)
from tasks.registry.sums import SUMS, read_sums, wrong_files
from tasks.storage.lease import Lease, lease
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace
from tasks.training.run import TrainingRun, fit
from tasks.training.split_rule import named_splits

log = logging.getLogger("sdt.finetune")

_SCORES = "scores.json"

Result = TypeVar("Result")


class FinetuneReport(Frozen):
    """What a fine-tuning run made."""

    encoder_id: str
    """The encoder's name; as an extractor it is called `finetuned:` and this."""
    path: str
    """Its folder, relative to the workspace."""
    metrics: dict[str, float]
    """Its own scores in the epochs selected on dev, averaged over the folds."""
    folds: int
    """Encoders in it."""
    epochs: int
    """Epochs trained; 0 when it was already there."""


@dataclass(frozen=True)
class _Run:
    """What is made of what: ``plan`` is the first fold's, ``base`` the folder of the encoder that it starts from."""

    workspace: Workspace
    archive: Manifest
    config: FinetuneConfig
    base: Path
    plan: FinetunePlan
    encoder_id: str

    @property
    def runs(self) -> str:
        """Where its checkpoints lie until it is done."""
        return f"{ENCODER_RUNS}/{self.encoder_id}"


def finetune(config: FinetuneConfig, run: str = "") -> FinetuneReport:
    """Fine-tune a text encoder; one already made from the same data and settings is left as it is.

    ``run`` is how a second run that would make the same encoder is told who does.

    Raises:
        WorkflowError: no such archive or encoder, one with too few positions, nothing is annotated, training failed, or
            another run makes the same encoder.
    """
    workspace = Workspace(config.workspace)
    archive = read_archive(workspace, config.archive)
    base = base_folder(config.encoder)
    check_length(base, config)
    files = base_files(base)
    encoder_id = encoder_name(config, archive, files)
    existing, _ = _existing(workspace, encoder_id)
    if existing is not None:
        with suppress(FileNotFoundError):  # of another run that is just removing them
            workspace.remove_folder(f"{ENCODER_RUNS}/{encoder_id}")
        return existing
    config = placed(config, base)
    making = _Run(workspace, archive, config, base, plan_finetuning(workspace, archive, config, encoder_id), encoder_id)
    with lease(workspace, making_of("finetune", "encoder", encoder_id), config.lease_s, run) as claim:
        existing, wrong = _existing(workspace, encoder_id)
        if existing is not None:  # made by the run that this one has waited for
            return existing
        _remove_damaged(workspace, encoder_folder(encoder_id), wrong)
        put_folder(workspace, making.plan.base, base, list(files))
        folds = [partial(_fold, making, claim, fold) for fold in range(config.folds)]
        scores = in_threads(folds, config.at_once or 1)
        seen, description = _seen(making), _describe(making, scores)
        claim.check()
        workspace.write_json(f"{encoder_folder(encoder_id)}/{SEEN}", seen)
        write_description(workspace, description)
        workspace.remove_folder(making.runs)
    return _report(description, sum(int(s["epochs"]) for s in scores))


def _existing(workspace: Workspace, encoder_id: str) -> tuple[FinetuneReport | None, dict[str, str]]:
    """What is said of an encoder that is whole; else the files of it that are not, and what is wrong with each."""
    folder, description, wrong = encoder_folder(encoder_id), None, dict[str, str]()
    try:
        description = read_encoder(workspace, encoder_id)
    except DamagedFile as error:
        wrong[error.path] = error.reason
    try:  # whatever the description is: its folds may be whole, and are not trained again then
        wrong |= wrong_files(workspace, folder, read_sums(workspace, folder, {}))
    except DamagedFile as error:
        wrong[error.path] = error.reason
    if wrong or description is None:
        return None, wrong
    log.info("finetune: nothing to do, %s exists", encoder_id)
    return _report(description, 0), wrong


def _remove_damaged(workspace: Workspace, folder: str, wrong: Mapping[str, str]) -> None:
    """Remove damaged files of an encoder, and first the scores that say that their fold is done.

    Without its hashes nothing says which folds are whole, and all are made again.
    """
    for path, why in wrong.items():
        log.warning("finetune: %s is made again: %s", path, why)
    sums, description = f"{folder}/{SUMS}", f"{folder}/{DESCRIPTION}"
    files = workspace.files(folder)
    damaged = files if sums in wrong else [path for path in wrong if path not in (sums, description)]
    scores = {f"{path.rpartition('/')[0]}/{_SCORES}" for path in damaged}
    last = (description, sums)  # a run that is killed before finds the same to be wrong
    for path in (*sorted(scores), *damaged, *last):
        if path in files and workspace.exists(path):
            workspace.remove(path)


def _fold(making: _Run, claim: Lease, fold: int) -> dict[str, float]:
    """Train one encoder and publish it; its scores. One that is there is not trained again."""
    workspace, config = making.workspace, making.config
    plan = making.plan.model_copy(update={"fold": fold})
    folder = f"{encoder_folder(making.encoder_id)}/{fold}"
    if workspace.exists(f"{folder}/{_SCORES}"):
        scores: dict[str, float] = workspace.read_json(f"{folder}/{_SCORES}")
        return scores
    resources = training_resources(config.ray, config.resources, config.workers)
    claim.check()
    training = TrainingRun(
        workspace, making.runs, f"fold-{fold}", finetune_worker, plan,
        config.workers, resources, config.retries, "finetune",
    )  # fmt: skip
    checkpoint = fit(training, config.ray)
    encoder, progress = read_best(plan, checkpoint)
    best = progress.history[progress.best]
    scores = {"best_epoch": float(progress.best), "epochs": float(len(progress.history)), **best}
    scores["hidden"] = float(encoder.head.in_features)
    with tempfile.TemporaryDirectory(prefix="sdt-encoder-") as scratch, local_folder(workspace, plan.base) as base:
        encoder.save(Path(scratch))
        Tokenizer(base).save(Path(scratch))
        claim.check()
        put_folder(workspace, folder, Path(scratch), list(base_files(Path(scratch))))
    workspace.write_json(f"{folder}/{_SCORES}", scores)
    return scores


def in_threads(calls: Sequence[Callable[[], Result]], at_once: int) -> list[Result]:
    """What the calls return, in their order; at most ``at_once`` are under way together, each in a thread.

    After one that raises, no other is begun, those under way are waited for, and its error is raised. An interrupt
    waits for none.
    """
    if at_once == 1:
        return [call() for call in calls]
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="fold")
    try:
        # In the caller's context: a log handler may ask it which run a line belongs to.
        futures = [pool.submit(copy_context().run, call) for call in calls]
        _wait_for_all(futures)
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _wait_for_all(futures: list[Future[Result]]) -> None:
    failure: Exception | None = None
    pending = set(futures)
    while pending:
        # In slices: a signal that another thread is given does not wake this one.
        ended, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
        for error in (future.exception() for future in ended if not future.cancelled()):
            if error is not None and not isinstance(error, Exception):
                raise error
            if error is not None and failure is None:
                failure = error
                running = [future for future in pending if not future.cancel()]
                reason = str(error).partition("\n")[0]
                log.error("one of %d failed, %d under way are waited for: %s", len(futures), len(running), reason)
    if failure is not None:
        raise failure


def _describe(making: _Run, scores: list[dict[str, float]]) -> EncoderDescription:
    config, emotions = making.config, making.plan.emotions
    return EncoderDescription(
        encoder_id=making.encoder_id,
        base=config.encoder,
        licence=licence(making.base, config.encoder),
        emotions=emotions,
        dim=int(scores[0]["hidden"]) + len(emotions),
        context=config.context,
        max_tokens=config.max_tokens,
        folds=config.folds,
        archive=config.archive,
        data_fingerprint=making.archive.fingerprint,
        scores=tuple(scores),
    )


def _seen(making: _Run) -> list[str]:
    """Traces of the conversations of the training split."""
    traces: set[str] = set()
    for shard in making.archive.shards:
        with reading(making.workspace, shard.path):
            utterances = pl.DataFrame(making.workspace.read_table(shard.path, ["conversation_id", "split"]))
        splits = named_splits(utterances)
        traces |= {trace(name) for name, split in splits if making.plan.rule.split(name, split) == "train"}
    return sorted(traces)


def _report(encoder: EncoderDescription, epochs: int) -> FinetuneReport:
    return FinetuneReport(
        encoder_id=encoder.encoder_id,
        path=encoder_folder(encoder.encoder_id),
        metrics=encoder.metrics,
        folds=encoder.folds,
        epochs=epochs,
    )
