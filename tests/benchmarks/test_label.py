"""The labelling benchmark labels what it makes, and its parts are faster than the whole."""

from pathlib import Path

import pytest

from benchmarks.label import make_archive, measure
from benchmarks.synthetic import ARCHIVE
from tasks.config.stages import VerifyConfig
from tasks.maintenance.verify import verify


@pytest.mark.long
def test_every_utterance_is_labelled_from_features_as_extract_writes_them(tmp_path: Path) -> None:
    workspace, bundle = make_archive(tmp_path, 600, 3, 16, "bfloat16")
    rates = measure(workspace, bundle, 256)
    report = verify(VerifyConfig(workspace=workspace.url, archive=ARCHIVE))
    assert not report.faults and report.rows["labels"] == rates.utterances > 500
    assert min(rates.whole, rates.read, rates.network) > 0
