"""What a worker gets, and how many of them the nodes hold: decided here for every stage.

A worker is on one node, so what counts is what each of them has, not their sum.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.config.stages import RayConfig, Resources
from tasks.executor.cluster import connect

Amounts = Mapping[str, float]
"""CPU, GPU and memory (bytes) by Ray's names."""

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def working_nodes(config: RayConfig) -> list[Amounts]:
    """What each living node with cores has, whoever uses it now; without Ray, this machine.

    Whoever is about to use Ray asks this first, so here it starts. Where there is no such node, one core: an autoscaler
    is to bring nodes.
    """
    if config.in_process:
        return [{"CPU": float(config.cpus or _own_cores())}]
    connect(config)
    import ray  # takes seconds

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [node for node in nodes if node.get("CPU")] or [{"CPU": 1.0}]


def worker_slots(nodes: Sequence[Amounts], asked: Amounts) -> int:
    """How many workers that ask for so much the nodes hold together."""
    return sum(min(int(node.get(name, 0) / amount) for name, amount in asked.items()) for node in nodes)


def cores_each(nodes: Sequence[Amounts], workers: int) -> int:
    """The most whole cores that so many workers can have alike; 1 where there are more workers than cores."""
    most = int(max(node["CPU"] for node in nodes))
    return next((cores for cores in range(most, 1, -1) if worker_slots(nodes, {"CPU": cores}) >= workers), 1)


def shard_resources(configured: Resources | None, needed: Resources | None = None) -> Resources:
    """What a worker that does shards gets: as configured, or what its extractor needs, or one core."""
    return configured or needed or Resources()


def training_resources(config: RayConfig, configured: Resources | None, workers: int) -> Resources:
    """What one of so many training workers gets: as configured, or an equal share of all cores, on one node."""
    nodes = working_nodes(config)
    return configured or Resources(cpus=cores_each(nodes, workers))


def trainings_at_once(config: RayConfig, needed: Resources, workers: int, configured: int | None) -> int:
    """How many trainings run at the same time: as configured, or as many as the nodes hold; without Ray, one.

    Args:
        config: where they run.
        needed: what one worker needs.
        workers: of one training.
        configured: what the configuration says; None: nothing.
    """
    if config.in_process:  # they would share one process, and with it one source of chance
        return 1
    nodes = working_nodes(config)
    return configured or max(1, worker_slots(nodes, needed.asked()) // workers)


def in_words(amounts: Amounts) -> str:
    """What a worker asks for, or a node has, for an error."""
    gigabytes = round(amounts.get("memory", 0) / 1e9, 1)
    return f"{amounts.get('CPU', 0):g} CPUs, {amounts.get('GPU', 0):g} GPUs and {gigabytes:g} GB"


def _own_cores() -> int:
    """Cores that this process may use: those it is bound to, or fewer where a container has a quota."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
        return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):
        return cores
