from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.archive.layout import features_path
from tasks.errors import WorkflowError
from tasks.features.reader import FeatureFolder, ShardFeatures, read_shard
from tasks.storage.manifest import ShardRecord
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.archives import feature_folders
from tests.fixtures.vectors import feature_frame


def test_vectors_and_gaps_come_back_in_the_order_of_the_utterances(workspace: Workspace) -> None:
    shard = made.archive(workspace, missing=0.3).shards[1]
    found = read_shard(workspace, shard, feature_folders(), made.EMOTIONS)
    for m, folder in enumerate(feature_folders()):
        table = feature_frame(workspace.read_table(features_path(str(folder.folder), shard)))
        assert found.conversations.present[m].tolist() == table["vector"].is_not_null().to_list()
        for row, vector in enumerate(table["vector"]):
            expected = np.zeros(folder.dim) if vector is None else vector.to_numpy()
            np.testing.assert_array_equal(found.conversations.features[folder.modality][row], expected)
        assert found.reasons[folder.modality].to_list() == table["reason"].to_list()
    assert not found.conversations.present.all()


def test_labels_speakers_and_conversations(workspace: Workspace) -> None:
    shard = made.archive(workspace).shards[0]
    found = read_shard(workspace, shard, feature_folders(), ("joy", "anger"))
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
    found = read_shard(workspace, shard, [feature_folders()[0], absent], made.EMOTIONS)
    assert not found.conversations.present[1].any() and found.conversations.features["audio"].shape[1] == 88


@pytest.mark.long
@pytest.mark.parametrize("every", [1, 2, 5])
def test_of_chosen_conversations_alone_the_same_is_read_as_of_the_whole(workspace: Workspace, every: int) -> None:
    """In row groups that hold some of them, none or all."""
    shard = made.archive(workspace, missing=0.3).shards[0]
    cut_into_groups(workspace, shard, rows=4)
    names = pl.read_parquet(workspace.path(shard.path))["conversation_id"].unique().sort().to_list()
    for wanted in ([], names[::every], names[-1:], names[1:3]):
        asked = shard_part(workspace, shard, wanted)
        whole = read_shard(workspace, shard, feature_folders(), made.EMOTIONS)
        rows = whole.utterances["conversation_id"].is_in(wanted)
        assert asked.utterances.equals(whole.utterances.filter(rows))
        kept = rows.to_numpy()
        np.testing.assert_array_equal(asked.conversations.present, whole.conversations.present[:, kept])
        np.testing.assert_array_equal(asked.conversations.speaker, whole.conversations.speaker[kept])
        np.testing.assert_array_equal(asked.conversations.label, whole.conversations.label[kept])
        assert len(asked.conversations.lengths) == len(wanted)
        for modality, values in whole.conversations.features.items():
            np.testing.assert_array_equal(asked.conversations.features[modality], values[kept])
            assert asked.reasons[modality].equals(whole.reasons[modality].filter(rows))


def test_row_groups_that_hold_none_of_the_chosen_are_not_read(workspace: Workspace) -> None:
    shard = made.archive(workspace).shards[0]
    cut_into_groups(workspace, shard, rows=4)
    names = pl.read_parquet(workspace.path(shard.path))["conversation_id"]
    for folder in feature_folders():
        path = Path(workspace.path(features_path(str(folder.folder), shard)))
        with workspace.parquet(features_path(str(folder.folder), shard)) as file:
            column = file.metadata.row_group(file.num_row_groups - 1).column(2)
        content = bytearray(path.read_bytes())
        begin = column.dictionary_page_offset or column.data_page_offset
        content[begin : begin + column.total_compressed_size] = bytes(column.total_compressed_size)
        path.write_bytes(content)
    assert shard_part(workspace, shard, [names[0]]).conversations.present.any()
    with pytest.raises(WorkflowError, match=r"damaged: .*\n  make it anew with: sdt extract made "):
        read_shard(workspace, shard, feature_folders(), made.EMOTIONS)


def shard_part(workspace: Workspace, shard: ShardRecord, names: list[str]) -> ShardFeatures:
    return read_shard(
        workspace,
        shard,
        feature_folders(),
        made.EMOTIONS,
        lambda utterances: utterances["conversation_id"].is_in(names),
    )


def cut_into_groups(workspace: Workspace, shard: ShardRecord, rows: int) -> None:
    for folder in feature_folders():
        path = features_path(str(folder.folder), shard)
        workspace.write_table(path, workspace.read_table(path), rows)


def test_features_of_other_utterances_are_refused_by_name(workspace: Workspace) -> None:
    archive = made.archive(workspace)
    text = feature_folders()[0]
    wrong = workspace.read_table(features_path(str(text.folder), archive.shards[1]))
    workspace.write_table(features_path(str(text.folder), archive.shards[0]), wrong)
    with pytest.raises(WorkflowError, match=r"holds other utterances than .*part-00000"):
        read_shard(workspace, archive.shards[0], [text], made.EMOTIONS)
