"""python -m benchmarks.speakers: speakers by order of appearance beside a fixed table of the most frequent ones.

The published code gives every MELD speaker a row of a table. Here the n-th to appear in a conversation takes row n,
whoever it is. Both are trained with the same settings and seeds, and so is a model that knows no speakers. Scores are
those of the epoch that was best on dev.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch

from benchmarks.modalities import seeded, train_alone
from sdt_model.batch import Ints
from sdt_model.config import RECIPES, TrainingConfig
from sdt_model.trainer import Trainer
from tasks.archive import read_archive
from tasks.config import Resources, TrainConfig
from tasks.splits import split_rule
from tasks.train import plan_training
from tasks.train_worker import build_trainer
from tasks.workspace import Workspace

SPLITS = ("train", "dev", "test")
SCORES = ("dev_weighted_f1", "test_weighted_f1", "test_macro_f1")


def names_by_split(workspace: Workspace, archive: str, config: TrainConfig) -> dict[str, list[str | None]]:
    """The speaker of every utterance of the annotated conversations, in the order of training's splits."""
    manifest = read_archive(workspace, archive)
    rule = split_rule(manifest, config.dev_fraction, config.test_fraction)
    found: dict[str, list[str | None]] = {split: [] for split in SPLITS}
    for shard in manifest.shards:
        table = workspace.read_table(shard.path, ["conversation_id", "speaker", "emotion", "split"])
        for (conversation_id,), turns in pl.DataFrame(table).group_by("conversation_id", maintain_order=True):
            split = rule.split(str(conversation_id), turns["split"][0])
            if split is not None and turns["emotion"].is_not_null().any():
                found[split] += turns["speaker"].to_list()
    return found


def numberings(names: dict[str, list[str | None]], rows: int) -> Iterator[tuple[str, dict[str, Ints] | None]]:
    """What is compared, and each split's numbers; None leaves those of training, which are by order of appearance."""
    yield "order of appearance", None
    frequent = pl.Series(names["train"]).drop_nulls().value_counts(sort=True)[:, 0].head(rows - 1).to_list()
    table = {name: row for row, name in enumerate(frequent)}
    fixed = {s: np.array([table.get(n or "", rows - 1) for n in of], np.int64) for s, of in names.items()}
    yield f"fixed table of {len(table)} and the rest", fixed
    yield "none", {split: np.full(len(of), -1) for split, of in names.items()}


def numbered(trainer: Trainer, numbers: dict[str, Ints] | None) -> Trainer:
    for split, values in (numbers or {}).items():
        getattr(trainer.data, split).speaker[:] = values
    return trainer


def scores(
    workspace: Workspace, archive: str, training: TrainingConfig, numbers: dict[str, Ints] | None
) -> list[float]:
    """Train one model in this process."""
    config = TrainConfig(
        workspace=workspace.url, archive=archive, training=training, resources=Resources(cpus=torch.get_num_threads())
    )
    with tempfile.TemporaryDirectory() as scratch:
        trainer = build_trainer(plan_training(workspace, config), Path(scratch), torch.device("cpu"))
        metrics = train_alone(numbered(trainer, numbers), training)
    return [metrics[name] for name in SCORES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", default="./workspace")
    parser.add_argument("--archive", default="meld")
    parser.add_argument("--recipe", default="meld-text", choices=RECIPES)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    workspace, training = Workspace(given.workspace), RECIPES[given.recipe]()
    names = names_by_split(workspace, given.archive, TrainConfig(workspace=workspace.url, archive=given.archive))
    for what, numbers in numberings(names, training.model.speakers):
        found = [scores(workspace, given.archive, seeded(training, s), numbers) for s in range(given.seeds)]
        said = []
        for name, values in zip(SCORES, zip(*found, strict=True), strict=True):
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            said.append(f"{name} {statistics.mean(values):.4f} ± {spread:.4f}")
        print(f"{what}: {', '.join(said)}", flush=True)


if __name__ == "__main__":
    main()
