"""Rows copied from earlier feature shards."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.archive.sharding import shard_of
from tasks.extract.cache import Earlier, copy_rows
from tasks.extractors.base import Extracted
from tasks.features.content_keys import Keys
from tasks.features.table import feature_rows
from tasks.storage.workspace import Workspace
from tests.fixtures.media import utterances

FOLDER = "features/a/audio/0123456789abcdef"


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def rows(names: list[str]) -> pa.Table:
    return utterances(*({"conversation_id": name} for name in names))


def lay(workspace: Workspace, path: str, names: list[str], numbers: list[int | None], group: int = 3) -> None:
    """A feature shard whose vectors are the numbers that they were made from; one of an odd number has failed."""
    found = Extracted.none(len(names), 2)
    for row, number in enumerate(numbers):
        if number is not None and number % 2:
            found.reasons[row] = f"no {number}"
        elif number is not None:
            found.put(row, np.array([number, -number], np.float32))
    keys: Keys = [None if number is None else key(number) for number in numbers]
    workspace.write_table(path, feature_rows(rows(names), found, 2, path, keys)[0], group)


def earlier(workspace: Workspace, *counts: int) -> Earlier:
    return Earlier.among(workspace.files(FOLDER), counts)


def test_rows_are_found_by_what_they_were_made_from_and_the_others_are_named(workspace: Workspace) -> None:
    lay(workspace, f"{FOLDER}/part-00000-a.parquet", ["c"] * 7, [0, 1, 2, None, 4, 5, 6])
    lay(workspace, f"{FOLDER}/part-00000-b.parquet", ["c"], [8])
    lay(workspace, f"{FOLDER}/timing/part-00000-b.parquet", ["c"], [9])
    found = Extracted.none(6, 2)
    wanted: Keys = [key(6), key(10), None, key(8), key(5), key(6)]
    assert copy_rows(workspace, earlier(workspace, 1), 0, rows(["c"] * 6), wanted, found) == [1]
    assert found.vectors[found.valid].tolist() == [[6, -6], [8, -8], [6, -6]]
    assert found.valid.tolist() == [True, False, False, True, False, True]
    assert found.reasons == [None, None, None, None, "no 5", None]
    nothing = Extracted.none(1, 2)
    assert copy_rows(workspace, earlier(workspace, 1), 0, rows(["c"]), [key(9)], nothing) == [0]


def test_only_files_that_may_hold_the_conversations_are_opened() -> None:
    there = [f"{FOLDER}/part-{number:05d}-a.parquet" for number in range(7)]
    names = [f"c{number}" for number in range(2)]
    found = Earlier.among(there, {4, 7}).of(names, own=shard_of(names[0], 7))
    numbers = {shard_of(name, count) for name in names for count in (4, 7)}
    assert found[0] == there[shard_of(names[0], 7)] and set(found) == {there[number] for number in numbers}
    assert len(found) < len(there) and Earlier.among(there, {4}).of([], own=0) == []


def test_a_file_that_was_removed_meanwhile_and_one_without_keys_hold_nothing(workspace: Workspace) -> None:
    path = f"{FOLDER}/part-00000-a.parquet"
    lay(workspace, path, ["c"], [2])
    before, wanted = earlier(workspace, 1), [key(2)]
    workspace.write_table(path, workspace.read_table(path).drop_columns(["made_from"]))
    assert copy_rows(workspace, before, 0, rows(["c"]), wanted, Extracted.none(1, 2)) == [0]
    workspace.remove(path)
    assert copy_rows(workspace, before, 0, rows(["c"]), wanted, Extracted.none(1, 2)) == [0]


@settings(max_examples=40)
@given(
    old=st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 12)), max_size=20),
    new=st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 12)), max_size=20),
    shards=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_whatever_the_shards_were_what_is_copied_is_as_it_was_made(
    old: list[tuple[int, int | None]], new: list[tuple[int, int | None]], shards: tuple[int, int]
) -> None:
    """What was made of a conversation that is still there is copied, and nothing that is copied is another's."""
    before, now = shards
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(str(Path(folder)))
        for number in range(before):
            held = [(f"c{c}", of) for c, of in old if shard_of(f"c{c}", before) == number]
            path = f"{FOLDER}/part-{number:05d}-x.parquet"
            lay(workspace, path, [name for name, _ in held], [of for _, of in held])
        for own in range(now):
            held = [(f"c{c}", of) for c, of in new if shard_of(f"c{c}", now) == own]
            found = Extracted.none(len(held), 2)
            keys: Keys = [None if of is None else key(of) for _, of in held]
            asked = rows([name for name, _ in held])
            missing = copy_rows(workspace, earlier(workspace, before, now), own, asked, keys, found)
            for row, (name, of) in enumerate(held):
                if row in missing:
                    assert (int(name[1:]), of) not in old and not found.valid[row] and found.reasons[row] is None
                elif of is not None and of % 2:
                    assert found.reasons[row] == f"no {of}" and not found.valid[row]
                elif of is not None:
                    assert found.valid[row] and found.vectors[row].tolist() == [of, -of]
                else:
                    assert not found.valid[row]
