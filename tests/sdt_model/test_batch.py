import numpy as np

from sdt_model.batch import pack
from tests.fixtures import conversations as made


def test_pack_keeps_every_utterance_shorter_conversations_first() -> None:
    data = made.conversations([3, 1, 3, 5])
    batch = pack(data, [3, 2, 0])
    assert batch.rows.tolist() == [4, 5, 6, 0, 1, 2, 7, 8, 9, 10, 11]
    np.testing.assert_array_equal(batch.features[0].numpy(), data.features["text"][batch.rows])
    np.testing.assert_array_equal(batch.present.numpy(), data.present[:, batch.rows])
    np.testing.assert_array_equal(batch.speaker.numpy(), data.speaker[batch.rows])
    np.testing.assert_array_equal(batch.label.numpy(), data.label[batch.rows])
    assert batch.position.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4]


def test_groups_hold_the_conversations_of_each_length() -> None:
    batch = pack(made.conversations([4, 2, 4, 1, 2]), [0, 1, 2, 3, 4])
    assert batch.groups == ((0, 1, 1), (1, 2, 2), (5, 2, 4))
    assert [group.end for group in batch.groups] == [1, 5, 13]


def test_complete_only_if_every_modality_is_everywhere() -> None:
    assert pack(made.conversations([3, 2]), [0, 1]).complete
    assert not pack(made.conversations([30, 20], present=0.5), [0, 1]).complete
