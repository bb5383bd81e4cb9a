"""What is noted of the days in a shard, on small tables."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from tasks.archive.days import check_days_noted, conversation_days, days_of, feature_days, utterance_days
from tasks.archive.facts import DatedShardFacts, DayContent
from tasks.archive.schema import UTTERANCES, features_schema
from tasks.config.date_range import UNDATED
from tasks.errors import WorkflowError
from tasks.storage.manifest import ShardRecord

NIGHT = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)


def utterances(**changed: object) -> pa.Table:
    """One conversation over midnight, one of the next day, one without a time; ``changed``: of the first utterance."""
    times = [NIGHT, NIGHT + timedelta(minutes=5), NIGHT + timedelta(hours=9), None]
    rows = [
        {"conversation_id": name, "turn": turn, "text": "well", "emotion": "joy", "occurred_at": time}
        for name, turn, time in zip("aabc", (0, 1, 0, 0), times, strict=True)
    ]
    return pa.Table.from_pylist([rows[0] | changed, *rows[1:]], schema=UTTERANCES)


def said(table: pa.Table) -> dict[str, DayContent]:
    return utterance_days(pl.DataFrame(pl.from_arrow(table)))


def record(days: dict[str, DayContent]) -> ShardRecord:
    facts = DatedShardFacts(days=days)
    return ShardRecord(index=0, path="p", rows=1, bytes=1, sha256="0", facts=facts.plain())


def test_a_conversation_belongs_to_the_day_of_its_earliest_utterance() -> None:
    days = conversation_days(pl.DataFrame(pl.from_arrow(utterances())))
    assert days.to_list() == ["2026-03-01", "2026-03-01", "2026-03-02", UNDATED]
    assert {day: noted.rows for day, noted in said(utterances()).items()} == {
        "2026-03-01": 2, "2026-03-02": 1, UNDATED: 1,
    }  # fmt: skip


@pytest.mark.parametrize("change", [{"text": "no"}, {"speaker": "Ann"}, {"audio": "x.wav"}, {"turn": 7}])
def test_a_change_shows_in_its_own_day_alone(change: dict) -> None:
    before, after = said(utterances()), said(utterances(**change))
    assert {day for day in before if before[day] != after[day]} == {"2026-03-01"}


def test_an_annotation_changes_no_day() -> None:
    assert said(utterances()) == said(utterances(emotion="anger", split="test"))


def test_a_day_is_the_same_however_it_is_shared_out() -> None:
    table = utterances()
    parts = [said(table.slice(2)), said(table.slice(0, 2))]
    assert days_of([record(said(table))]) == days_of([record(part) for part in parts])


def found(vectors: list, reasons: list, files: str = "1234") -> dict[str, DayContent]:
    """The fact of features of which ``files`` are the versions of what they were made from."""
    columns = utterances().select(["conversation_id", "turn"]).to_pydict()
    stored = [np.array(vector, np.float32).tobytes() if vector else None for vector in vectors]
    columns |= {"vector": stored, "reason": reasons, "made_from": [file.encode() * 16 for file in files]}
    return feature_days(utterances(), pa.table(columns, schema=features_schema(2)))


def test_which_utterances_have_a_vector_and_why_others_have_none() -> None:
    nothing, half = [None] * 4, [None, "no such file", None, None]
    assert found(nothing, nothing) == {}, "where there is nothing to say, it is as if the modality were not there"
    first = found([[0, 1], None, [0, 1], None], half)
    assert found([[5, 6], None, [7, 8], None], half) == first and first["2026-03-01"].rows == 2
    mended = found([[0, 1], [0, 1], [0, 1], None], nothing)
    assert {day for day in first if first[day] != mended[day]} == {"2026-03-01"}


def test_a_file_whose_content_changed_shows_in_its_day_alone() -> None:
    vectors, reasons = [[0, 1]] * 4, [None] * 4
    before, after = found(vectors, reasons), found(vectors, reasons, files="1254")
    assert {day for day in before if before[day] != after[day]} == {"2026-03-02"}


def test_an_archive_of_an_earlier_version_is_refused() -> None:
    old = DatedShardFacts.of(record({}).model_copy(update={"facts": {"dates": ["2026-03-01"]}}))
    with pytest.raises(WorkflowError, match=r"'calls' was ingested by an earlier version.*\n.*sdt ingest"):
        check_days_noted("calls", [old])
