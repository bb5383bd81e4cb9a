"""Queries over label shards and manifests as the label stage leaves them, on real files."""

import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from tasks.errors import DamagedFile, WorkflowError
from tasks.query import rejection_reasons, run_query, scan_labels, scan_rejected, scan_utterances, write_result
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.archives import rejected_archive
from tests.fixtures.labels import DAYS, write_labels


def ruin(workspace: Workspace, day: str) -> None:
    """What opens a file of that day now fails."""
    for path in workspace.files(f"labels/made/date={day}"):
        if path.endswith(".parquet"):
            workspace.write_bytes(path, b"not parquet " * 100)


def query(workspace: Workspace, sql: str, archive: str | None = None) -> list[tuple[object, ...]]:
    return run_query(workspace, sql, archive).collect().rows()


def test_dates_come_from_the_folders_and_an_undated_one_is_null(workspace: Workspace) -> None:
    write_labels(workspace)
    found = scan_labels(workspace).collect()
    assert found.columns[:3] == ["archive", "date", "conversation_id"] and found.schema["date"] == pl.Date
    assert set(found["date"]) == {date(2026, 3, 1), date(2026, 3, 2), None} and len(found) == 6


@pytest.mark.parametrize("where", ["date = '2026-03-02'", "date > DATE '2026-03-01'"])
def test_a_query_for_one_date_opens_no_other_dates_files(workspace: Workspace, where: str) -> None:
    made.archive(workspace)
    write_labels(workspace)
    write_labels(workspace, "other", ("fear", "joy", "rage"))
    ruin(workspace, DAYS[0])
    ruin(workspace, DAYS[2])
    sql = f"SELECT date, COUNT(*) AS n, SUM(probabilities.joy) AS joy FROM labels WHERE {where} GROUP BY date"
    assert query(workspace, sql) == [(date(2026, 3, 2), 4, 2 * 0.75 + 2 * 0.125)]
    with pytest.raises(DamagedFile, match=f"date={DAYS[0]}.*(\n.*)*sdt label made"):
        query(workspace, "SELECT emotion FROM labels")


def test_the_undated_can_be_asked_for_alone(workspace: Workspace) -> None:
    made.archive(workspace)
    write_labels(workspace)
    ruin(workspace, DAYS[0])
    assert query(workspace, "SELECT COUNT(*) FROM labels WHERE date IS NULL") == [(2,)]


def test_archives_with_other_emotions_are_read_together(workspace: Workspace) -> None:
    made.archive(workspace)
    made.archive(workspace, "other")
    write_labels(workspace)
    write_labels(workspace, "other", ("fear", "joy", "rage"))
    sql = "SELECT archive, probabilities.joy, probabilities.rage FROM labels WHERE turn = 0 AND date IS NULL"
    assert query(workspace, f"{sql} ORDER BY archive") == [("made", 0.75, None), ("other", 0.125, 0.125)]
    assert query(workspace, "SELECT COUNT(*) FROM labels", archive="other") == [(6,)]
    assert set(scan_labels(workspace, "made").collect_schema()["probabilities"].to_schema()) == {"joy", "sad"}


def test_only_files_of_a_manifest_are_read(workspace: Workspace) -> None:
    write_labels(workspace)
    workspace.write_bytes("labels/made/date=2026-03-01/part-00001-old.parquet", b"left by another run")
    workspace.write_bytes("labels/made/date=2026-03-09/part-00000-run.parquet", b"unfinished")
    assert len(scan_labels(workspace).collect()) == 6


def test_a_workspace_below_folders_that_look_like_partitions(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path / "env=prod" / "[team]" / "run=3"))
    write_labels(workspace)
    ruin(workspace, DAYS[0])
    assert "env" not in scan_labels(workspace).collect_schema()
    assert scan_labels(workspace).filter(pl.col("date") == date(2026, 3, 2)).collect().height == 2


def test_labels_join_utterances(workspace: Workspace) -> None:
    archive = made.archive(workspace)
    keys = "l.conversation_id = u.conversation_id AND l.turn = u.turn"
    assert scan_utterances(workspace).select(pl.len()).collect().item() == archive.rows
    write_labels(workspace)
    assert query(workspace, f"SELECT COUNT(*) FROM labels l JOIN utterances u ON {keys}") == [(0,)]


def test_reasons_are_counted_without_the_values_that_were_read(workspace: Workspace) -> None:
    rejected_archive(workspace)
    assert rejection_reasons(workspace, "made") == {"duplicate": 2, "turn … is not a whole number": 2, "no turn": 1}
    assert scan_rejected(workspace).collect()["archive"].unique().to_list() == ["made"]
    assert query(workspace, "SELECT COUNT(*) FROM rejected WHERE reason LIKE 'duplicate%'") == [(2,)]


@pytest.mark.parametrize(
    "sql", ["SELECT nope FROM labels", "SELEC", "SELECT * FROM nothing", "SELECT turn.x FROM labels"]
)
def test_wrong_sql_names_tables_and_columns(workspace: Workspace, sql: str) -> None:
    made.archive(workspace)
    write_labels(workspace)
    with pytest.raises(WorkflowError, match=r"(?s)cannot be run: .*labels: archive, date, .*utterances: archive, .*"):
        run_query(workspace, sql)


def test_without_labels_the_message_says_how_to_make_them(workspace: Workspace) -> None:
    with pytest.raises(WorkflowError, match="sdt ingest KIND PATH --archive NAME"):
        run_query(workspace, "SELECT 1 FROM labels")
    made.archive(workspace)
    with pytest.raises(WorkflowError, match=r"(?s)no labels of archive 'made'.*sdt label"):
        run_query(workspace, "SELECT 1 FROM labels", "made")


def result(workspace: Workspace) -> pl.LazyFrame:
    made.archive(workspace)
    write_labels(workspace)
    return run_query(workspace, "SELECT date, turn, students, modalities FROM labels WHERE date > DATE '2026-03-01'")


def test_csv_has_a_column_for_each_field(workspace: Workspace, tmp_path: Path) -> None:
    write_result(result(workspace), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "date,turn,students.text,students.audio,students.visual,modalities",
        "2026-03-02,0,joy,,,text|audio",
        "2026-03-02,1,joy,,,text|audio",
    ]


def test_json_is_an_array_and_ndjson_lines(workspace: Workspace, tmp_path: Path) -> None:
    rows = result(workspace)
    write_result(rows, tmp_path / "out.json")
    write_result(rows, tmp_path / "out.ndjson")
    write_result(rows.filter(pl.lit(False)), tmp_path / "none.json")
    found = json.loads((tmp_path / "out.json").read_text())
    assert found == [json.loads(line) for line in (tmp_path / "out.ndjson").read_text().splitlines()]
    assert [row["turn"] for row in found] == [0, 1] and found[0]["students"]["text"] == "joy"
    assert json.loads((tmp_path / "none.json").read_text()) == []


def test_parquet_keeps_everything(workspace: Workspace, tmp_path: Path) -> None:
    rows = result(workspace)
    write_result(rows, tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet").equals(rows.collect())


def test_a_result_that_cannot_be_written_leaves_nothing(workspace: Workspace, tmp_path: Path) -> None:
    rows = result(workspace)
    with pytest.raises(WorkflowError, match=r"\.csv, \.json, \.ndjson, \.parquet"):
        write_result(rows, tmp_path / "out.xlsx")
    with pytest.raises(WorkflowError, match="not a folder"):
        write_result(rows, tmp_path / "nowhere" / "out.csv")
    ruin(workspace, DAYS[1])
    with pytest.raises(DamagedFile, match=f"date={DAYS[1]}"):
        write_result(rows, tmp_path / "out.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["workspace"]


FILES = [
    "SELECT * FROM read_csv('{0}')",
    "SELECT * FROM \"read_csv\"('{0}')",
    "SELECT * FROM Read_CSV/**/('{0}')",
    "SELECT * FROM `read_csv`('{0}')",
    "SELECT * FROM read_parquet('{0}')",
    "SELECT * FROM read_ndjson('{0}')",
    "SELECT * FROM read_json('{0}')",
    "SELECT * FROM read_ipc('{0}')",
    "WITH q AS (SELECT * FROM read_csv('{0}')) SELECT * FROM q",
    "SELECT u.* FROM utterances u JOIN read_csv('{0}') f ON f.a = u.turn",
    "SELECT * FROM utterances WHERE text IN (SELECT a FROM read_csv('{0}'))",
    "CREATE TABLE utterances2 AS SELECT * FROM read_csv('{0}')",
    "SELECT * FROM -- x\nread_csv--\n('{0}')",
]


@pytest.mark.long
@pytest.mark.parametrize("sql", FILES)
def test_no_file_is_read_that_is_no_table_of_the_workspace(workspace: Workspace, tmp_path: Path, sql: str) -> None:
    made.archive(workspace)
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(WorkflowError, match=r"the query reads a file \((?i:read)_\w+\).*\n.*--allow-files"):
        run_query(workspace, sql.format(secret))


def test_a_file_is_read_where_that_is_allowed_and_names_that_are_none_are_not(
    workspace: Workspace, tmp_path: Path
) -> None:
    made.archive(workspace)
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    assert run_query(workspace, FILES[0].format(secret), files=True).collect()["a"].to_list() == [1]
    for sql in ("SELECT * FROM '{0}'", 'SELECT * FROM "{0}"', "SELECT * FROM csv('{0}')", "SELECT read_file('{0}')"):
        with pytest.raises(WorkflowError, match="the query cannot be run"):
            run_query(workspace, sql.format(secret))
