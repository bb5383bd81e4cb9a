"""The comparison of ways to number speakers gives each utterance its own speaker's number."""

from pathlib import Path

import numpy as np

from benchmarks import modalities, speakers
from benchmarks.speakers import SPLITS
from tasks.config.training import TrainConfig
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures import conversations as made_conversations


def appearance(names: list[str | None]) -> list[int]:
    order = list(dict.fromkeys(name for name in names if name is not None))
    return [-1 if name is None else order.index(name) for name in names]


def test_names_are_in_the_order_of_training_s_utterances(workspace: Workspace, tmp_path: Path) -> None:
    made.archive(workspace)
    config = TrainConfig(workspace=workspace.url, archive="made", training=made_conversations.training())
    names = speakers.names_by_split(workspace, "made", config)
    trainer = modalities.prepared(workspace, "made", config.training, None, tmp_path)
    for split in SPLITS:
        its = getattr(trainer.data, split)
        assert len(names[split]) == len(its.speaker) > 0
        for begin, end in zip(its.offset[:-1], its.offset[1:], strict=True):
            assert appearance(names[split][begin:end]) == its.speaker[begin:end].tolist()
    ways = dict(speakers.numberings(names, rows=3))
    by_appearance, table, none = ways.values()
    assert by_appearance is None and table is not None and none is not None
    assert list(ways)[1] == "fixed table of 2 and the rest"
    counts = {name: names["train"].count(name) for name in set(names["train"]) - {None}}
    for split in SPLITS:
        for name, number in zip(names[split], table[split], strict=True):
            assert (number < 2) == (name is not None and counts.get(name, 0) >= sorted(counts.values())[-2])
        assert set(none[split]) == {-1}
    speakers.number(trainer, table)
    assert all(np.array_equal(getattr(trainer.data, split).speaker, table[split]) for split in SPLITS)
