"""python -m benchmarks.long_conversations: conversations of any length, labelled in memory that does not grow.

Each length is one conversation, scored by a process of its own with the published widths. Its inputs and outputs, which
have to be somewhere, are taken off its largest resident memory.
"""

import argparse
import subprocess
import sys
import time

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.speed import peak_memory_mib, training_config
from benchmarks.workload import CLASSES, DIMS
from sdt_model.conversations import Conversations
from sdt_model.inference import InferenceSDT
from sdt_model.model import SDT
from sdt_model.predict import predict
from tasks.config.stages import LabelConfig

LENGTHS = (1, 2, 512, 2_000, 20_000)
SPEAKERS = 60


def score(turns: int, width: int) -> tuple[float, float]:
    """Score one conversation; its largest memory without inputs and outputs, MiB, and its turns a second."""
    chance = np.random.default_rng(0)
    features = {name: chance.standard_normal((turns, dim), np.float32) for name, dim in DIMS.items()}
    data = Conversations(
        features=features,
        present=np.ones((len(DIMS), turns), bool),
        speaker=np.arange(turns) % SPEAKERS,
        label=np.full(turns, -1),
        offset=np.array([0, turns]),
    )
    network = InferenceSDT(SDT(training_config(width).model, DIMS, CLASSES))
    budget = LabelConfig.model_fields["batch_utterances"].default
    begin = time.perf_counter()
    predictions = predict(network, data, budget)
    seconds = time.perf_counter() - begin
    assert np.isfinite(predictions.probabilities).all()
    arrays = (*features.values(), predictions.probabilities, predictions.students, predictions.weights)
    return peak_memory_mib() - sum(array.nbytes for array in arrays) / 2**20, turns / seconds


def alone(turns: int, width: int) -> tuple[float, float]:
    """`score` in a process of its own."""
    code = f"from benchmarks.long_conversations import score; print(*score({turns}, {width}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    memory, rate = map(float, done.stdout.split())
    return memory, rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=1024)
    options = parser.parse_args()
    table = Table("turns", "MiB without inputs and outputs", "turns/s", caption=f"{torch.get_num_threads()} threads")
    for turns in LENGTHS:
        memory, rate = alone(turns, options.width)
        table.add_row(f"{turns:,}", f"{memory:.0f}", f"{rate:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
