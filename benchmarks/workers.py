"""Training over several processes on the same cores: what data parallelism costs, and what it gives.

Each process is a data-parallel worker with its share of the cores, as Ray Train starts them; gradients are averaged
with gloo. A global batch has the same dialogues however many workers there are.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from benchmarks.speed import training_config
from benchmarks.workload import CLASSES, DIMS, batches, conversations
from sdt_model.config import MODALITIES
from sdt_model.model import SDT
from sdt_model.ops.malloc import keep_freed_memory
from sdt_model.training.objective import Objective
from sdt_model.training.trainer import Splits, Trainer

_PORT = 29_500


def rate(workers: int, dialogues: int, width: int, steps: int) -> float:
    """Utterances a second of ``workers`` processes that share this process's threads."""
    threads = max(1, torch.get_num_threads() // workers)
    arguments = map(str, (threads, dialogues, width, steps))
    command = [sys.executable, "-m", "benchmarks.workers", *arguments]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment(rank, workers))
        for rank in range(workers)
    ]
    outputs = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError(f"a benchmark worker failed: {[process.returncode for process in started]}")
    return float(outputs[0])


def _environment(rank: int, workers: int) -> dict[str, str]:
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_PORT + os.getpid() % 1000)}
    return os.environ | where | {"RANK": str(rank), "WORLD_SIZE": str(workers)}


def work(dialogues: int, width: int, steps: int) -> float:
    """Run one worker's part of every step; utterances a second of all workers together."""
    distributed.init_process_group("gloo")
    data, config = conversations(), training_config(width)
    plain = SDT(config.model, DIMS, CLASSES).train()
    objective = Objective(config.objective, MODALITIES, tuple(map(str, range(CLASSES))), data.label)
    trainer = Trainer(DistributedDataParallel(plain), plain, objective, Splits(data, data, data), config)
    rates = []
    for chosen in [*batches(data, dialogues, steps)] * 2:
        begin = time.perf_counter()
        trainer.step(chosen, "benchmark")
        distributed.barrier()
        rates.append(int(data.lengths[chosen].sum()) / (time.perf_counter() - begin))
    distributed.destroy_process_group()
    return statistics.median(rates[steps:])  # the first time a process gets the memory that its batches need


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("threads", "dialogues", "width", "steps"):
        parser.add_argument(name, type=int)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    speed = work(options.dialogues, options.width, options.steps)
    print(speed)
