"""python -m benchmarks.modalities: what each modality is worth on its own, beside all of them.

Models of one modality and of all are trained on an archive's features, with the same settings and several seeds, and
scored on its test split at the epoch that was best on dev. By default on the archive that `sdt demo` has made.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from sdt_model.config import MODALITIES, Modality, TrainingConfig
from sdt_model.recipes import RECIPES
from sdt_model.training.trainer import Trainer
from tasks.config.stages import Resources
from tasks.config.training import TrainConfig
from tasks.evaluation.seeds import spread
from tasks.storage.workspace import Workspace
from tasks.training.checkpoints import Progress
from tasks.training.plan import plan_training
from tasks.training.worker import build_trainer, train_epoch

SCORE = "test_weighted_f1"


def trained(
    workspace: Workspace,
    archive: str,
    training: TrainingConfig,
    modalities: tuple[Modality, ...] | None = None,
    altered: Callable[[Trainer], None] = lambda _: None,
) -> dict[str, float]:
    """Train one model in this process, ``altered`` before it begins; its scores at the epoch chosen on dev."""
    progress = Progress()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = prepared(workspace, archive, training, modalities, Path(scratch))
        altered(trainer)
        while not progress.finished(training.optim.epochs, training.optim.patience):
            progress = Progress(history=(*progress.history, train_epoch(trainer, len(progress.history))))
    return progress.metrics()


def prepared(
    workspace: Workspace, archive: str, training: TrainingConfig, modalities: tuple[Modality, ...] | None, scratch: Path
) -> Trainer:
    """What trains a model in this process, on the data that `sdt train` takes; features lie in ``scratch``."""
    config = TrainConfig(
        workspace=workspace.url,
        archive=archive,
        training=training,
        modalities=modalities,
        resources=Resources(cpus=torch.get_num_threads()),
    )
    return build_trainer(plan_training(workspace, config), scratch, torch.device("cpu"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", default="./workspace")
    parser.add_argument("--archive", default="synthetic-demo")
    parser.add_argument("--recipe", default="demo", choices=RECIPES)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    workspace, training = Workspace(options.workspace), RECIPES[options.recipe]()
    print(
        f"archive {options.archive}, {options.seeds} seeds, weighted F1 on test at the epoch chosen on dev", flush=True
    )
    means: dict[tuple[Modality, ...], float] = {}
    for modalities in (*((name,) for name in MODALITIES), MODALITIES):
        runs = [trained(workspace, options.archive, training.seeded(s), modalities) for s in range(options.seeds)]
        score = spread([metrics[SCORE] for metrics in runs])
        means[modalities] = score.mean
        print(f"  {'+'.join(modalities):<20} {score.mean:.4f} ± {score.deviation:.4f}", flush=True)
    together = means.pop(MODALITIES)
    best = max(means, key=means.__getitem__)
    print(f"all together: {together - means[best]:+.4f} over the best alone ({best[0]})")


if __name__ == "__main__":
    main()
