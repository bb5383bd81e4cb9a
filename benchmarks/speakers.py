"""python -m benchmarks.speakers: speakers by order of appearance beside a fixed table of the most frequent ones.

The published code gives every MELD speaker a row of a table. Here the n-th to appear in a conversation takes row n,
whoever it is. Both are trained with the same settings and seeds, and so is a model that knows no speakers. Scores are
those of the epoch that was best on dev.
"""

import argparse
from collections.abc import Iterator
from functools import partial

import numpy as np
import polars as pl

from benchmarks.modalities import trained
from sdt_model.conversations import Ints
from sdt_model.recipes import RECIPES
from sdt_model.training.trainer import Trainer
from tasks.archive.manifests import read_archive
from tasks.config.training import TrainConfig
from tasks.evaluation.seeds import spread
from tasks.storage.workspace import Workspace
from tasks.training.split_rule import split_rule

SPLITS = ("train", "dev", "test")
SCORES = ("dev_weighted_f1", "test_weighted_f1", "test_macro_f1")


def names_by_split(workspace: Workspace, archive: str, config: TrainConfig) -> dict[str, list[str | None]]:
    """The speaker of every utterance of the annotated conversations, in the order of training's splits."""
    manifest = read_archive(workspace, archive)
    rule = split_rule(manifest, config.dev_fraction, config.test_fraction)
    speakers: dict[str, list[str | None]] = {split: [] for split in SPLITS}
    for shard in manifest.shards:
        table = workspace.read_table(shard.path, ["conversation_id", "speaker", "emotion", "split"])
        for (conversation_id,), turns in pl.DataFrame(table).group_by("conversation_id", maintain_order=True):
            split = rule.split(str(conversation_id), turns["split"][0])
            if split is not None and turns["emotion"].is_not_null().any():
                speakers[split] += turns["speaker"].to_list()
    return speakers


def numberings(names: dict[str, list[str | None]], rows: int) -> Iterator[tuple[str, dict[str, Ints] | None]]:
    """What is compared, and each split's numbers; None leaves those of training, which are by order of appearance."""
    yield "order of appearance", None
    frequent = pl.Series(names["train"]).drop_nulls().value_counts(sort=True)[:, 0].head(rows - 1).to_list()
    table = {name: row for row, name in enumerate(frequent)}
    fixed = {s: np.array([table.get(n or "", rows - 1) for n in of], np.int64) for s, of in names.items()}
    yield f"fixed table of {len(table)} and the rest", fixed
    yield "none", {split: np.full(len(of), -1) for split, of in names.items()}


def number(trainer: Trainer, numbers: dict[str, Ints] | None) -> None:
    for split, values in (numbers or {}).items():
        getattr(trainer.data, split).speaker[:] = values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", default="./workspace")
    parser.add_argument("--archive", default="meld")
    parser.add_argument("--recipe", default="meld-text", choices=RECIPES)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    workspace, training = Workspace(options.workspace), RECIPES[options.recipe]()
    names = names_by_split(workspace, options.archive, TrainConfig(workspace=workspace.url, archive=options.archive))
    for what, numbers in numberings(names, training.model.speakers):
        altered = partial(number, numbers=numbers)
        runs = [trained(workspace, options.archive, training.seeded(s), altered=altered) for s in range(options.seeds)]
        scores = {name: spread([metrics[name] for metrics in runs]) for name in SCORES}
        columns = (f"{name} {score.mean:.4f} ± {score.deviation:.4f}" for name, score in scores.items())
        print(f"{what}: {', '.join(columns)}", flush=True)


if __name__ == "__main__":
    main()
