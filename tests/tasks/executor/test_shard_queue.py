from tasks.executor.shard_queue import ShardQueue


def drained(waiting: ShardQueue[str], workers: list[int]) -> list[str]:
    """What the workers get, in this order of asking."""
    return [waiting.next(worker) for worker in workers]


def test_without_sources_it_is_first_in_first_out() -> None:
    waiting = ShardQueue([("", "a"), ("", "b"), ("", "c")])
    assert drained(waiting, [0, 1]) == ["a", "b"]
    waiting.add("", "a again")
    assert drained(waiting, [1, 0]) == ["c", "a again"] and not waiting and len(waiting) == 0


def test_a_worker_stays_with_its_source_and_then_takes_one_that_is_free() -> None:
    waiting = ShardQueue([(source, f"{source}{n}") for n in range(2) for source in "xyz"])
    assert len(waiting) == 6
    assert drained(waiting, [0, 1, 0, 0, 1, 0]) == ["x0", "y0", "x1", "z0", "y1", "z1"]


def test_where_none_is_free_it_helps_with_the_longest() -> None:
    waiting = ShardQueue([("x", f"x{n}") for n in range(2)] + [("y", f"y{n}") for n in range(4)])
    assert drained(waiting, [0, 1, 2, 0, 0]) == ["x0", "y0", "y1", "x1", "y2"]


def test_what_is_tried_again_comes_after_the_others_of_its_source() -> None:
    waiting = ShardQueue([("x", "x0"), ("x", "x1"), ("y", "y0")])
    assert waiting.next(0) == "x0"
    waiting.add("x", "x0 again")
    assert drained(waiting, [0, 0, 0]) == ["x1", "x0 again", "y0"]
