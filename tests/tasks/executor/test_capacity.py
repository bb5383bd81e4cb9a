"""Counting what fits on nodes; that Ray agrees is tried by tests/cluster."""

import pytest

from tasks.config.stages import RayConfig
from tasks.executor.capacity import cores_each, in_words, worker_slots, working_nodes

SMALL, LARGE = {"CPU": 3.0, "memory": 8e9}, {"CPU": 8.0, "GPU": 2.0, "memory": 64e9}


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        ({"CPU": 1}, 14),
        ({"CPU": 2}, 6),  # 14 cores, of which one of each small node is left over
        ({"CPU": 4}, 2),
        ({"CPU": 9}, 0),  # 14 cores, but on no node as many
        ({"CPU": 0.5, "memory": 4e9}, 20),
        ({"CPU": 1, "GPU": 0.5}, 4),
    ],
)
def test_a_worker_is_on_one_node(asked: dict[str, float], fits: int) -> None:
    assert worker_slots([SMALL, LARGE, SMALL], asked) == fits


@pytest.mark.parametrize(
    ("nodes", "workers", "cores"),
    [
        ([SMALL], 1, 3),
        ([SMALL], 2, 1),
        ([SMALL, SMALL], 1, 3),  # not 6: no node has them
        ([SMALL, SMALL], 2, 3),
        ([SMALL, LARGE], 2, 4),
        ([SMALL, LARGE], 3, 3),
        ([SMALL], 5, 1),
    ],
)
def test_training_workers_share_the_cores_alike(nodes: list[dict[str, float]], workers: int, cores: int) -> None:
    assert cores_each(nodes, workers) == cores


def test_a_node_in_words() -> None:
    assert in_words(LARGE) == "8 CPUs, 2 GPUs and 64 GB" and in_words({"CPU": 0.5}) == "0.5 CPUs, 0 GPUs and 0 GB"


@pytest.mark.usefixtures("ray_session")
def test_the_session_s_ray_is_one_node_of_two_cores() -> None:
    (node,) = working_nodes(RayConfig())
    assert node["CPU"] == 2 and node["memory"] > 0
