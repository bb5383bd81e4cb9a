"""How fast the model trains and infers, beside the plain padded baseline and the machine's own GEMM rate.

Every row alternates its three measurements (a matrix product, ours, the baseline) and takes medians, so that a noisy
machine hurts all alike. Ours is the product's own path: `Trainer.step` with the optimiser, and `predict`.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.flops import forward_flops, training_flops
from benchmarks.padded import PaddedSDT, padded_loss
from benchmarks.workload import CLASSES, DIMS, batches, conversations, padded
from sdt_model.batch import Conversations, pack
from sdt_model.config import MODALITIES, ModelConfig, ObjectiveConfig, OptimConfig, TrainingConfig
from sdt_model.model import SDT
from sdt_model.objective import Objective
from sdt_model.trainer import Splits, Trainer

TEMPERATURE = 8.0
_GEMM = (512, 1024, 6144)


@dataclass(frozen=True)
class Row:
    """One line of the table; rates are utterances a second, shares are of the GEMM rate (0..1), memory is in MiB."""

    what: str
    width: int
    dialogues: int
    utterances: float
    gemm_gflops: float
    ours: float
    ours_share: float
    ours_mib: int
    padded: float
    padded_share: float
    padded_mib: int

    @property
    def ratio(self) -> float:
        return self.ours / self.padded


def gemm_gflops() -> float:
    """Rate of one float32 product on the threads at hand, GFLOP/s."""
    rows, inner, columns = _GEMM
    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    a @ b
    return 2 * rows * inner * columns / _seconds(lambda: a @ b) / 1e9


def training_row(dialogues: int, width: int, steps: int) -> Row:
    """A training step, optimiser included."""
    data, config = conversations(), training_config(width)
    trainer = made_trainer(data, config)
    baseline = made_baseline(config.model).train()
    adam = torch.optim.Adam([p for p in baseline.parameters() if p.requires_grad], lr=1e-5, weight_decay=1e-5)

    def step_padded(chosen: list[int]) -> None:
        features, mask, speaker, label = padded(data, chosen)
        students, teacher = baseline(features, mask, speaker)
        adam.zero_grad()
        padded_loss(students, teacher, label, mask, TEMPERATURE).backward()
        adam.step()

    def step(chosen: list[int]) -> None:
        trainer.step(chosen, "benchmark")

    trainer.network.train()
    chosen = list(batches(data, dialogues, steps))
    return _row("train", config.model, data, chosen, step, step_padded, training_flops)


def inference_row(dialogues: int, width: int, steps: int) -> Row:
    """A forward pass without gradients."""
    data, config = conversations(), training_config(width)
    network, baseline = SDT(config.model, DIMS, CLASSES).eval(), made_baseline(config.model).eval()

    @torch.inference_mode()
    def ours(chosen: list[int]) -> None:
        network(pack(data, chosen))

    @torch.inference_mode()
    def plain(chosen: list[int]) -> None:
        features, mask, speaker, _ = padded(data, chosen)
        baseline(features, mask, speaker)

    return _row("infer", config.model, data, list(batches(data, dialogues, steps)), ours, plain, forward_flops)


def training_config(width: int) -> TrainingConfig:
    """The published MELD settings at a width."""
    return TrainingConfig(
        model=ModelConfig(hidden=width, unimodal_gates="identity"),
        objective=ObjectiveConfig(temperature=TEMPERATURE),
        optim=OptimConfig(learning_rate=1e-5),
    )


def made_trainer(data: Conversations, config: TrainingConfig) -> Trainer:
    network = SDT(config.model, DIMS, CLASSES)
    emotions = tuple(str(k) for k in range(CLASSES))
    objective = Objective(config.objective, MODALITIES, emotions, data.label)
    return Trainer(network, network, objective, Splits(data, data, data), config)


def made_baseline(config: ModelConfig) -> PaddedSDT:
    return PaddedSDT(DIMS, config.hidden, config.heads, CLASSES, config.speakers, config.dropout)


def table(rows: list[Row]) -> list[dict[str, object]]:
    """The rows as plain data, with the ratio."""
    return [{**asdict(row), "ratio": row.ratio} for row in rows]


def _row(
    what: str,
    config: ModelConfig,
    data: Conversations,
    chosen: list[list[int]],
    ours: Callable[[list[int]], None],
    plain: Callable[[list[int]], None],
    flops: Callable[..., int],
) -> Row:
    peaks = [_peak_mib(lambda run=run: run(chosen[0])) for run in (ours, plain)]  # also warms up
    rates, sizes = [gemm_gflops()], [int(data.lengths[batch].sum()) for batch in chosen]
    needed = [flops(config, DIMS, CLASSES, data.lengths[batch].tolist()) / 1e9 for batch in chosen]
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for batch in chosen:
        seconds["ours"].append(_seconds(lambda batch=batch: ours(batch)))
        seconds["plain"].append(_seconds(lambda batch=batch: plain(batch)))
        rates.append(gemm_gflops())
    gemm = statistics.median(rates)

    def rate(of: list[int] | list[float], name: str) -> float:
        return statistics.median(amount / took for amount, took in zip(of, seconds[name], strict=True))

    return Row(
        what, config.hidden, len(chosen[0]), statistics.mean(sizes), gemm,
        rate(sizes, "ours"), rate(needed, "ours") / gemm, peaks[0],
        rate(sizes, "plain"), rate(needed, "plain") / gemm, peaks[1],
    )  # fmt: skip


def _seconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _peak_mib(run: Callable[[], object]) -> int:
    """The process's largest resident memory while it runs, MiB; Linux forgets the earlier peak when asked."""
    Path("/proc/self/clear_refs").write_text("5")
    run()
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024
