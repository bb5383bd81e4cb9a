"""What `make bench` says follows from what it measured."""

import json
from pathlib import Path

import pytest

import benchmarks.__main__ as bench
from benchmarks.reference.flops import folded_flops, forward_flops, training_flops
from benchmarks.speed import training_config
from benchmarks.workload import CLASSES, DIMS, batches, conversations

WIDTH, DIALOGUES = 64, 4


@pytest.mark.process
def test_the_table_and_the_same_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "CURVES", [("train", WIDTH, (DIALOGUES,)), ("infer", WIDTH, (DIALOGUES,))])
    monkeypatch.setattr(bench, "WORKERS_WIDTH", WIDTH)
    out = tmp_path / "speed.json"
    monkeypatch.setattr("sys.argv", ["bench", "--steps", "1", "--out", str(out)])
    bench.main()
    found = json.loads(out.read_text())
    rows = {row["what"]: row for row in found["rows"]}
    data, config = conversations(), training_config(WIDTH).model
    (chosen,) = batches(data, DIALOGUES, 1)
    lengths = data.lengths[chosen].tolist()
    counts = {
        ("train", "ours_share"): training_flops,
        ("train", "padded_share"): training_flops,
        ("infer", "ours_share"): folded_flops,
        ("infer", "ours_mfu"): forward_flops,
        ("infer", "padded_share"): forward_flops,
    }
    for (what, name), count in counts.items():
        row = rows[what]
        took = sum(lengths) / row[name.split("_")[0]]
        done = count(config, DIMS, CLASSES, lengths) / 1e9 / took
        assert row[name] == pytest.approx(done / row["gemm_gflops"]), (what, name)
    assert list(rows) == ["train", "infer"]
    for row in rows.values():
        assert row["utterances"] == sum(lengths)
        assert row["ratio"] == row["ours"] / row["padded"]
        assert min(row["ours_mib"], row["padded_mib"]) > 100  # torch alone takes as much
    assert set(found["workers"]) == {"1", "2"} and all(rate > 0 for rate in found["workers"].values())
    shown = capsys.readouterr().out
    assert f"{rows['infer']['ours_share']:.0%}" in shown and f"{rows['train']['ratio']:.1f}" in shown
