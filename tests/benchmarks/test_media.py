from pathlib import Path

import pytest

from benchmarks.media import ENDINGS, RECORDING_S, UTTERANCE_S, Media
from tasks.executor.shard import run_shard
from tests.fixtures.vectors import vector_lists


@pytest.mark.long
def test_every_utterance_of_a_shard_is_described_and_no_two_alike(tmp_path: Path) -> None:
    media = Media.make(tmp_path, hours=0.05)
    assert media.shards == 1
    record = run_shard(media.workspace, media.tasks("out")[0], media.prepared())
    vectors = [vector for vector in vector_lists(media.workspace.read_table(record.path)) if vector]
    assert record.rows == len(vectors) == len(ENDINGS) * RECORDING_S // UTTERANCE_S
    assert len({tuple(vector) for vector in vectors}) == len(vectors)
