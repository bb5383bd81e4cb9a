from pathlib import Path

import polars as pl
import pytest

from tasks.errors import WorkflowError
from tasks.sources.base import FeatureSource
from tasks.sources.pickles.sdt_pickle import SdtPickle
from tasks.sources.registry import source
from tests.fixtures.sources.pickles import DIMS, fields, write


def test_rows_of_every_utterance_in_their_order(tmp_path: Path) -> None:
    pickles = source("sdt-pickle")
    assert isinstance(pickles, FeatureSource)
    (file,) = pickles.files(str(write(tmp_path / "meld_multimodal_features.pkl", "SDT on MELD")), None)
    rows = pl.concat(pickles.batches(file, None))
    expected = fields("SDT on MELD")["labels"]
    assert rows["conversation_id"].unique(maintain_order=True).to_list() == [str(key) for key in expected]
    assert rows["turn"].to_list() == [str(turn) for labels in expected.values() for turn in range(len(labels))]
    assert rows["row"].to_list() == list(range(1, len(rows) + 1)) and rows["ready"].all()
    assert rows["problem"].null_count() == rows["video"].null_count() == len(rows)


def test_features_of_every_conversation(tmp_path: Path) -> None:
    (file,) = SdtPickle().files(str(write(tmp_path / "features.pkl", "MMGCN on IEMOCAP")), None)
    given = SdtPickle().features(file)
    assert given.layout == "MMGCN on IEMOCAP" and given.dims == DIMS
    for name in given.conversations:
        assert {m: v.shape[1] for m, v in given.vectors(name).items()} == DIMS


def test_it_is_one_file_and_an_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match=r"holds no such file\n  expected: one pickle of SDT on MELD, "):
        SdtPickle().files(str(tmp_path), None)
    for name in ("a.pkl", "b.pickle"):
        write(tmp_path / name, "SDT on MELD")
    with pytest.raises(WorkflowError, match="holds 2 pickles: name one"):
        SdtPickle().files(str(tmp_path), None)
    path = write(tmp_path / "odd.pkl", "SDT on MELD", labels={0: [9] * 3})
    (file,) = SdtPickle().files(str(path), None)
    with pytest.raises(WorkflowError, match=r"odd\.pkl: conversation '0'"):
        list(SdtPickle().batches(file, None))
