"""How fast the model trains and infers, beside the plain padded baseline and the machine's own GEMM rate.

Every row alternates its three measurements (a matrix product, ours, the baseline) and takes medians, a share of the
rate from the products just before and after, so that a noisy machine hurts all alike. Ours is what training and
labelling run: `Trainer.step`, and the packed forward pass.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch

from benchmarks.reference.flops import folded_flops, forward_flops, training_flops
from benchmarks.reference.padded import PaddedSDT, padded_loss
from benchmarks.workload import CLASSES, DIMS, batches, conversations, padded
from sdt_model.batch import pack
from sdt_model.config import (
    MODALITIES,
    Modality,
    ModelConfig,
    ObjectiveConfig,
    OptimConfig,
    Precision,
    TrainingConfig,
)
from sdt_model.conversations import Conversations
from sdt_model.inference import InferenceSDT
from sdt_model.model import SDT
from sdt_model.ops.malloc import keep_freed_memory
from sdt_model.training.objective import Objective
from sdt_model.training.trainer import Splits, Trainer

TEMPERATURE = 8.0
_GEMM = (512, 1024, 6144)

Run = Callable[[list[int]], None]


@dataclass(frozen=True)
class Row:
    """One line of the table; rates are utterances a second, shares are of the GEMM rate (0..1), memory is in MiB.

    Ours has two shares. ``ours_share`` counts the operations that it does. ``ours_mfu``, the model FLOPs utilisation
    (Chowdhery et al. 2022, appendix B), counts the published network's, whatever was saved of them.
    """

    what: str
    width: int
    dialogues: int
    utterances: float
    gemm_gflops: float
    ours: float
    ours_share: float
    ours_mfu: float
    ours_mib: int
    padded: float
    padded_share: float
    padded_mib: int

    @property
    def ratio(self) -> float:
        return self.ours / self.padded


def gemm_gflops() -> float:
    """Rate of one float32 matrix product on the threads at hand, GFLOP/s."""
    rows, inner, columns = _GEMM
    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    a @ b
    return 2 * rows * inner * columns / _seconds(lambda: a @ b) / 1e9


def row(what: str, dialogues: int, width: int, steps: int) -> Row:
    """Measure ``what`` (of `RUNS`) on batches of so many dialogues, ours and the baseline in turn."""
    data, config = conversations(), training_config(width).model
    chosen = list(batches(data, dialogues, steps))
    runs = {whose: RUNS[what, whose](data, width) for whose in ("ours", "padded")}
    sizes = [int(data.lengths[batch].sum()) for batch in chosen]
    seconds: dict[str, list[float]] = {whose: [] for whose in runs}
    for run in runs.values():  # a first time, not measured: until a process has the memory that its batches need
        for batch in chosen:
            run(batch)
    rates = [gemm_gflops()]
    for batch in chosen:
        for whose, run in runs.items():
            seconds[whose].append(_seconds(partial(run, batch)))
        rates.append(gemm_gflops())
    beside = [statistics.mean(pair) for pair in pairwise(rates)]

    def rate(of: list[int] | list[float], whose: str) -> float:
        return statistics.median(amount / took for amount, took in zip(of, seconds[whose], strict=True))

    def share(whose: str, counted: str) -> float:
        count = FLOPS[what, counted]
        needed = [count(config, DIMS, CLASSES, data.lengths[batch].tolist()) / 1e9 for batch in chosen]
        return rate([flops / gemm for flops, gemm in zip(needed, beside, strict=True)], whose)

    return Row(
        what, width, dialogues, statistics.mean(sizes), statistics.median(rates),
        rate(sizes, "ours"), share("ours", "ours"), share("ours", "padded"), peak_mib(what, "ours", dialogues, width),
        rate(sizes, "padded"), share("padded", "padded"), peak_mib(what, "padded", dialogues, width),
    )  # fmt: skip


def peak_mib(what: str, whose: str, dialogues: int, width: int) -> int:
    """Largest resident memory of a process of its own that does nothing else, libraries included, MiB."""
    code = f"from benchmarks.speed import alone; print(alone({what!r}, {whose!r}, {dialogues}, {width}))"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def alone(what: str, whose: str, dialogues: int, width: int) -> int:
    """Run three batches; this process's largest resident memory, MiB."""
    keep_freed_memory()
    data = conversations()
    run = RUNS[what, whose](data, width)
    for chosen in batches(data, dialogues, 3):
        run(chosen)
    return peak_memory_mib()


def peak_memory_mib() -> int:
    """This process's largest resident memory, MiB."""
    # Not getrusage: its maximum is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def our_training(data: Conversations, width: int, precision: Precision = "float32") -> Run:
    """Our training step, optimiser included."""
    config = training_config(width, precision)
    network = SDT(config.model, DIMS, CLASSES).train()
    emotions = tuple(str(k) for k in range(CLASSES))
    objective = Objective(config.objective, MODALITIES, emotions, data.label)
    trainer = Trainer(network, network, objective, Splits(data, data, data), config)

    def run(chosen: list[int]) -> None:
        trainer.step(chosen, "benchmark")

    return run


def padded_training(data: Conversations, width: int) -> Run:
    """The baseline's training step, optimiser included."""
    baseline = made_baseline(width).train()
    adam = torch.optim.Adam([p for p in baseline.parameters() if p.requires_grad], lr=1e-5, weight_decay=1e-5)

    def run(chosen: list[int]) -> None:
        features, mask, speaker, label = padded(data, chosen)
        students, teacher = baseline(features, mask, speaker)
        adam.zero_grad()
        padded_loss(students, teacher, label, mask, TEMPERATURE).backward()
        adam.step()

    return run


def our_inference(data: Conversations, width: int) -> Run:
    """Our forward pass as labelling runs it."""
    network = InferenceSDT(SDT(training_config(width).model, DIMS, CLASSES))

    @torch.inference_mode()
    def run(chosen: list[int]) -> None:
        network(pack(data, chosen))

    return run


def padded_inference(data: Conversations, width: int) -> Run:
    """The baseline's forward pass without gradients."""
    baseline = made_baseline(width).eval()

    @torch.inference_mode()
    def run(chosen: list[int]) -> None:
        features, mask, speaker, _ = padded(data, chosen)
        baseline(features, mask, speaker)

    return run


RUNS: dict[tuple[str, str], Callable[[Conversations, int], Run]] = {
    ("train", "ours"): our_training,
    ("train", "padded"): padded_training,
    ("train in bfloat16", "ours"): partial(our_training, precision="auto"),
    ("train in bfloat16", "padded"): padded_training,
    ("infer", "ours"): our_inference,
    ("infer", "padded"): padded_inference,
}
FLOPS: dict[tuple[str, str], Callable[[ModelConfig, Mapping[Modality, int], int, list[int]], int]] = {
    ("train", "ours"): training_flops,
    ("train", "padded"): training_flops,
    ("train in bfloat16", "ours"): training_flops,
    ("train in bfloat16", "padded"): training_flops,
    ("infer", "ours"): folded_flops,
    ("infer", "padded"): forward_flops,
}


def training_config(width: int, precision: Precision = "auto") -> TrainingConfig:
    """The published MELD settings at a width."""
    return TrainingConfig(
        model=ModelConfig(hidden=width, unimodal_gates="identity"),
        objective=ObjectiveConfig(temperature=TEMPERATURE),
        optim=OptimConfig(learning_rate=1e-5, precision=precision),
    )


def made_baseline(width: int) -> PaddedSDT:
    config = training_config(width).model
    return PaddedSDT(DIMS, config.hidden, config.heads, CLASSES, config.speakers, config.dropout)


def table(rows: list[Row]) -> list[dict[str, object]]:
    """The rows as plain data, with the ratio."""
    return [{**asdict(row), "ratio": row.ratio} for row in rows]


def _seconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin
