import numpy as np
import polars as pl
import pytest

from tasks.archive import features_path
from tasks.errors import WorkflowError
from tasks.features import FeatureFolder, read_shard
from tasks.workspace import Workspace
from tests.tasks import made
from tests.tasks.test_splits import folders


def test_vectors_and_gaps_come_back_in_the_order_of_the_utterances(workspace: Workspace) -> None:
    shard = made.archive(workspace, missing=0.3).shards[1]
    found = read_shard(workspace, shard, folders(), made.EMOTIONS)
    for m, folder in enumerate(folders()):
        table = pl.from_arrow(workspace.read_table(features_path(str(folder.folder), shard)))
        assert found.conversations.present[m].tolist() == table["vector"].is_not_null().to_list()
        for row, vector in enumerate(table["vector"]):
            expected = np.zeros(folder.dim) if vector is None else vector.to_numpy()
            np.testing.assert_array_equal(found.conversations.features[folder.modality][row], expected)
        assert found.reasons[folder.modality].to_list() == table["reason"].to_list()
    assert not found.conversations.present.all()


def test_labels_speakers_and_conversations(workspace: Workspace) -> None:
    shard = made.archive(workspace).shards[0]
    found = read_shard(workspace, shard, folders(), ("joy", "anger"))
    emotions = found.utterances["emotion"].to_list()
    assert found.conversations.label.tolist() == [{"joy": 0, "anger": 1}.get(name, -1) for name in emotions]
    for begin, end in zip(found.conversations.offset, found.conversations.offset[1:], strict=False):
        part = found.utterances[int(begin) : int(end)]
        assert part["conversation_id"].n_unique() == 1
        order = list(dict.fromkeys(part["speaker"]))
        assert found.conversations.speaker[begin:end].tolist() == [order.index(name) for name in part["speaker"]]


def test_a_modality_that_the_archive_has_not_is_absent_everywhere(workspace: Workspace) -> None:
    shard = made.archive(workspace, modalities=("text",)).shards[0]
    absent = FeatureFolder("audio", 88, None)
    found = read_shard(workspace, shard, [folders()[0], absent], made.EMOTIONS)
    assert not found.conversations.present[1].any() and found.conversations.features["audio"].shape[1] == 88


def test_features_of_other_utterances_are_refused_by_name(workspace: Workspace) -> None:
    archive = made.archive(workspace)
    text = folders()[0]
    wrong = workspace.read_table(features_path(str(text.folder), archive.shards[1]))
    workspace.write_table(features_path(str(text.folder), archive.shards[0]), wrong)
    with pytest.raises(WorkflowError, match=r"holds other utterances than .*part-00000"):
        read_shard(workspace, archive.shards[0], [text], made.EMOTIONS)
