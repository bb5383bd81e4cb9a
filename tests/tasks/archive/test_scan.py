"""A scan gives the rows that Polars' own gives, of files that are as they were written."""

import random
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from polars._typing import EngineType

from tasks.archive.scan import scan_files
from tasks.errors import DamagedFile
from tasks.storage.workspace import Workspace

DAYS, ROWS = ("2026-03-01", "2026-03-02", None), 400


def table(number: int) -> pa.Table:
    draw = random.Random(number)
    return pa.table(
        {
            "key": [f"c{number}-{row}" for row in range(ROWS)],
            "turn": pa.array(range(ROWS), pa.int32()),
            "emotion": [draw.choice(["joy", "fear", None]) for _ in range(ROWS)],
            "score": pa.array([draw.random() for _ in range(ROWS)], pa.float32()),
            "scores": [{"joy": draw.random(), "fear": draw.random()} for _ in range(ROWS)],
        }
    )


@pytest.fixture
def scan(workspace: Workspace) -> pl.LazyFrame:
    paths = [f"labels/made/part-{number}.parquet" for number in range(len(DAYS))]
    for number, path in enumerate(paths):
        workspace.write_table(path, table(number), 100)
    values = pl.DataFrame({"archive": ["made"] * len(DAYS), "date": pl.Series(DAYS).str.to_date()})
    return scan_files(workspace, paths, table(0).schema, values)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t",
        "SELECT COUNT(*) FROM t",
        "SELECT date, COUNT(*), AVG(score) FROM t GROUP BY date ORDER BY date",
        "SELECT archive FROM t WHERE date = '2026-03-02'",
        "SELECT date FROM t WHERE date IS NULL AND emotion = 'joy'",
        "SELECT key FROM t WHERE (date = '2026-03-01' AND turn < 3) OR (date IS NULL AND turn > 396)",
        "SELECT key, score FROM t WHERE emotion IS NULL AND score > 0.5 ORDER BY score LIMIT 7",
        "SELECT scores.joy, archive FROM t WHERE turn = 17",
        "SELECT * FROM t WHERE key = 'nowhere'",
        "SELECT a.key, b.score FROM t a JOIN t b USING (turn) WHERE a.turn = 3 AND b.date IS NULL ORDER BY key",
        "SELECT * FROM t LIMIT 5",
        "SELECT turn FROM t WHERE FALSE",
    ],
)
@pytest.mark.parametrize("engine", ["streaming", "in-memory"])
def test_it_gives_what_polars_gives(scan: pl.LazyFrame, sql: str, engine: EngineType) -> None:
    days = pl.Series(DAYS).str.to_date()
    parts = [
        pl.DataFrame(pl.from_arrow(table(number))).with_columns(date=pl.lit(day, pl.Date))
        for number, day in enumerate(days)
    ]
    whole = pl.concat(parts).select(pl.lit("made").alias("archive"), "date", *table(0).column_names)
    expected = pl.SQLContext(t=whole).execute(sql, eager=True)
    assert pl.SQLContext(t=scan).execute(sql).collect(engine=engine).equals(expected)


def test_what_asks_for_no_column_has_every_row(scan: pl.LazyFrame) -> None:
    assert scan.select(pl.len()).collect().item() == len(DAYS) * ROWS
    for constant, rows in ((True, len(DAYS) * ROWS), (False, 0)):
        held = pl.lit(constant).cast(pl.Int8) + 1 > 1
        assert scan.filter(held).select("archive").collect().height == rows
        assert scan.filter(held).select(pl.len()).collect().item() == rows


def test_a_flipped_bit_ends_it_with_the_file_and_the_command_that_makes_it_anew(
    scan: pl.LazyFrame, workspace: Workspace
) -> None:
    path = Path(workspace.path("labels/made/part-1.parquet"))
    content, expected, draw = path.read_bytes(), scan.collect(), random.Random(1)
    refused = 0
    for _ in range(150):
        flipped = bytearray(content)
        flipped[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        try:
            rows = scan.collect()
        except DamagedFile as error:
            refused += 1
            assert "part-1.parquet" in str(error) and "sdt label made" in str(error)
        else:
            assert rows.equals(expected)
    assert refused > 100


def test_a_file_that_the_query_does_not_need_is_not_opened(scan: pl.LazyFrame, workspace: Workspace) -> None:
    workspace.remove("labels/made/part-0.parquet")
    assert scan.filter(pl.col("date") > pl.date(2026, 3, 1), pl.col("turn") < 2).collect().height == 2
    with pytest.raises(DamagedFile, match="part-0"):
        scan.filter(pl.col("turn") < 2).collect()
