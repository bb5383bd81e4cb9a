"""What one worker of a fine-tuning run does: read the archive's texts, go on from the last checkpoint, run epochs."""

from dataclasses import replace

import numpy as np
import polars as pl
import torch
from pydantic import Field

from sdt_model.config import Frozen
from sdt_model.ops.malloc import keep_freed_memory
from sdt_model.text_encoder.encoder import TextEncoder, Tokenizer, load_body
from sdt_model.text_encoder.trainer import FinetuneOptim, Finetuner, Texts
from sdt_model.text_encoder.windows import Window, token_windows
from tasks.archive.manifests import read_same_archive
from tasks.archive.repair import reading
from tasks.errors import WorkflowError
from tasks.extractors.text.conversation import conversation_texts
from tasks.features.reader import FeatureFolder, read_shard
from tasks.registry.encoders import fold_of, local_folder
from tasks.storage.manifest import ShardRecord
from tasks.storage.workspace import Workspace
from tasks.training.checkpoints import Progress, best_of, report, resume, weights
from tasks.training.run import SavedCheckpoint, TrainingContext
from tasks.training.split_rule import SplitRule, named_splits

_COLUMNS = ["conversation_id", "turn", "speaker", "text", "emotion", "split"]


class FinetunePlan(Frozen):
    """What every worker is told; ``fold`` is the share of the training conversations that it must not see."""

    workspace: str
    archive: str
    data_fingerprint: str
    """Of the archive that the encoder is named after."""
    base: str
    """Folder of the pretrained encoder, in the workspace."""
    emotions: tuple[str, ...]
    rule: SplitRule
    context: int
    max_tokens: int
    folds: int
    fold: int
    teacher: FeatureFolder | None = None
    """Features of the archive by the encoders whose scores are learned beside the labels."""
    optim: FinetuneOptim
    threads: int = Field(ge=1)


def finetune_worker(context: TrainingContext, plan: FinetunePlan) -> None:
    """Fine-tune to the end, from wherever the run was left."""
    torch.set_num_threads(plan.threads)
    keep_freed_memory()
    finetuner = build_finetuner(plan, context.device)
    progress, best = resume(context, finetuner)
    while len(progress.history) < plan.optim.epochs:
        scores = finetune_epoch(finetuner, len(progress.history))
        progress = Progress(history=(*progress.history, scores))
        if progress.best == len(progress.history) - 1:
            best = weights(finetuner.encoder)
        if context.rank == 0:
            context.tell(f"encoder {plan.fold + 1}/{plan.folds}, {progress.line(plan.optim.epochs)}")
        report(context, finetuner, best, progress)


def read_best(plan: FinetunePlan, checkpoint: SavedCheckpoint) -> tuple[TextEncoder, Progress]:
    """The encoder of the best epoch, and the scores of all."""
    best, progress = best_of(checkpoint)
    with local_folder(Workspace(plan.workspace), plan.base) as base:
        encoder = TextEncoder(load_body(base), len(plan.emotions))
    encoder.load_state_dict(best)
    return encoder, progress


def build_finetuner(plan: FinetunePlan, device: torch.device) -> Finetuner:
    """This worker's fine-tuner, with every split's windows."""
    workspace = Workspace(plan.workspace)
    with local_folder(workspace, plan.base) as folder:
        words = Tokenizer(folder)
        splits = gather_texts(workspace, plan, words)
        torch.manual_seed(plan.optim.seed)
        encoder = TextEncoder(load_body(folder), len(plan.emotions), plan.optim.dropout)
    return Finetuner(encoder, splits, plan.optim, words.special.padding, device)


def gather_texts(workspace: Workspace, plan: FinetunePlan, words: Tokenizer) -> dict[str, Texts]:
    """Windows of the annotated conversations by split; the training ones without the plan's fold.

    Raises:
        WorkflowError: train or dev would be empty.
    """
    windows: dict[str, list[Window]] = {"train": [], "dev": [], "test": []}
    labels: dict[str, list[int]] = {name: [] for name in windows}
    taught: list[np.ndarray] = []
    classes = {name: index for index, name in enumerate(plan.emotions)}
    for shard in read_same_archive(workspace, "finetune", plan.archive, plan.data_fingerprint).shards:
        with reading(workspace, shard.path):
            utterances = pl.DataFrame(workspace.read_table(shard.path, _COLUMNS))
        named = dict(named_splits(utterances))
        teacher_probabilities = _teacher(workspace, plan, shard)
        for (conversation_id,), turns in utterances.with_row_index("row").group_by(
            "conversation_id", maintain_order=True
        ):
            name = plan.rule.split(str(conversation_id), named[str(conversation_id)])
            emotions = [classes.get(emotion, -1) for emotion in turns["emotion"]]
            held_out = name == "train" and plan.folds > 1 and fold_of(str(conversation_id), plan.folds) == plan.fold
            if name is None or held_out or max(emotions) < 0:
                continue
            spoken, texts = conversation_texts(turns["speaker"].to_list(), turns["text"].to_list(), plan.context)
            rows = [len(labels[name]) + index for index in spoken]
            ids = words.tokens(texts, plan.max_tokens)
            windows[name] += token_windows(ids, rows, plan.context, plan.max_tokens, words.special)
            labels[name] += emotions
            if name == "train" and teacher_probabilities is not None:
                taught.append(teacher_probabilities[turns["row"].to_numpy()])
    for name in ("train", "dev"):
        if not any(labels[name][row] >= 0 for window in windows[name] for row in window.rows):
            raise WorkflowError(
                f"no annotated text for the {name} split\n"
                "  give the `split` column train, dev and test, or raise dev_fraction"
            )
    splits = {name: Texts(windows[name], np.array(labels[name], np.int64)) for name in windows}
    if taught:
        splits["train"] = replace(splits["train"], taught=np.concatenate(taught))
    return splits


def _teacher(workspace: Workspace, plan: FinetunePlan, shard: ShardRecord) -> np.ndarray | None:
    """What the teacher says of a shard's utterances, (N, K), zeros where it says nothing."""
    if plan.teacher is None:
        return None
    conversations = read_shard(workspace, shard, [plan.teacher], plan.emotions).conversations
    scores = conversations.features["text"][:, -len(plan.emotions) :]  # which a fine-tuned encoder's vectors end with
    probabilities: np.ndarray = torch.from_numpy(scores).softmax(dim=-1).numpy()
    probabilities[~conversations.present[0]] = 0
    return probabilities


def finetune_epoch(finetuner: Finetuner, number: int) -> dict[str, float]:
    """Train one epoch; its loss and the scores after it."""
    scores = finetuner.epoch(number) | finetuner.evaluate("dev")
    return scores | finetuner.evaluate("test") if finetuner.splits["test"].windows else scores
