"""Room for workers on Ray's nodes. A worker is on one node, so what counts is what each of them has, not their sum."""

from collections.abc import Mapping, Sequence

import ray

Amounts = Mapping[str, float]
"""CPU, GPU and memory (bytes) by Ray's names."""


def working_nodes() -> list[Amounts]:
    """What each living node with cores has, whoever uses it now.

    Where there is none, one core: an autoscaler is to bring nodes.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [node for node in nodes if node.get("CPU")] or [{"CPU": 1.0}]


def room(nodes: Sequence[Amounts], asked: Amounts) -> int:
    """How many workers that ask for so much the nodes hold together."""
    return sum(min(int(node.get(name, 0) / amount) for name, amount in asked.items()) for node in nodes)


def cores_each(nodes: Sequence[Amounts], workers: int) -> int:
    """The most whole cores that so many workers can have alike; 1 where there are more workers than cores."""
    most = int(max(node["CPU"] for node in nodes))
    return next((cores for cores in range(most, 1, -1) if room(nodes, {"CPU": cores}) >= workers), 1)


def in_words(amounts: Amounts) -> str:
    gigabytes = round(amounts.get("memory", 0) / 1e9, 1)
    return f"{amounts.get('CPU', 0):g} CPUs, {amounts.get('GPU', 0):g} GPUs and {gigabytes:g} GB"
