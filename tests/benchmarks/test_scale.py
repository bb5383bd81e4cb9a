from pathlib import Path

import polars as pl
import pytest

from benchmarks.scale import DIM, MODEL, STAGES, Run, alone
from benchmarks.synthetic import TURNS, write_model, write_sources
from tasks.query import run_query

pytestmark = pytest.mark.usefixtures("ray_session")
DAYS = 3


def test_every_utterance_gets_a_row_at_every_stage(tmp_path: Path) -> None:
    run = Run(str(tmp_path / "sources"), str(tmp_path / "workspace"), days=DAYS)
    written = write_sources(tmp_path / "sources", 3_000, DAYS)
    write_model(run.workspace, {"text": DIM}, MODEL)
    found = alone("ingest", run)
    assert (
        found.result["rows"] == written and found.driver_mib > 50 and found.core_s > found.result["driver_core_s"] > 0
    )
    assert found.workers_mib and min(found.workers_mib) > 50
    rows = {name: work(run) for name, (work, _) in STAGES.items() if name != "ingest"}
    of_the_day = rows.pop("query one day")
    assert set(rows.values()) == {written}
    source = pl.read_csv(tmp_path / "sources" / "*.csv")
    began = source.group_by("conversation_id").agg(pl.len(), pl.col("occurred_at").min().str.slice(0, 10))
    assert began["len"].is_between(*TURNS).all()
    assert of_the_day == began.filter(pl.col("occurred_at") == str(run.one_day))["len"].sum() > 0
    labels = run_query(run.workspace, "SELECT conversation_id, turn FROM labels").collect()
    assert labels.n_unique() == written
