from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ingest.validate import CANONICAL, SCANNED, typed_rows

GOOD = {"conversation_id": "c", "turn": "1", "text": "hello"}


def typed(*rows: dict[str, str | None], shards: int = 4) -> list[dict]:
    columns = {name: [row.get(name) for row in rows] for name in CANONICAL}
    more = {"problem": [row.get("problem") for row in rows], "content": [row.get("content") for row in rows]}
    frame = pl.DataFrame(columns | more, schema=dict.fromkeys([*CANONICAL, *more], pl.String))
    table = typed_rows(frame.with_columns(row=pl.int_range(1, len(rows) + 1)), "f.csv", shards)
    assert table.schema == SCANNED
    return table.sort_by("row").to_pylist()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"conversation_id": None}, "no conversation_id"),
        ({"conversation_id": "  "}, "no conversation_id"),
        ({"turn": None}, "no turn"),
        ({"turn": "one"}, "turn 'one' is not a whole number"),
        ({"turn": "1.5"}, "turn '1.5' is not a whole number"),
        ({"turn": "9999999999"}, "turn '9999999999' is not a whole number"),
        ({"turn": "-1"}, "turn -1 is negative"),
        ({"text": " \t"}, "neither text nor media"),
        ({"start_s": "soon"}, "start_s 'soon' is not a number of seconds"),
        ({"end_s": "inf"}, "end_s 'inf' is not a number of seconds"),
        ({"occurred_at": "yesterday"}, "occurred_at 'yesterday' is not an ISO 8601 time"),
        (
            {"occurred_at": "0001-01-01T00:00:00+02:00"},
            "occurred_at '0001-01-01T00:00:00+02:00' is not an ISO 8601 time",
        ),
        ({"audio": "/etc/passwd"}, "audio '/etc/passwd' leaves the media root"),
        ({"audio": "a/../../x.wav"}, "audio 'a/../../x.wav' leaves the media root"),
        ({"video": "http://host/x.mp4"}, "video 'http://host/x.mp4' leaves the media root"),
        ({"video": "C:\\x.mp4"}, "video 'C:\\x.mp4' leaves the media root"),
        ({"problem": "is not JSON", "content": "{"}, "is not JSON"),
    ],
)
def test_why_a_row_cannot_be_used(change: dict, reason: str) -> None:
    found = typed(GOOD | change, GOOD)
    assert found[0]["reason"] == reason and found[0]["content"]
    assert all(found[0][name] is None for name in CANONICAL)
    assert found[1]["reason"] is None and found[1]["text"] == "hello"


def test_values_get_their_types() -> None:
    row = typed(GOOD | {"turn": " 7.0 ", "start_s": "0.1", "speaker": "", "audio": "a/b..c.wav", "text": " kept "})[0]
    assert (row["turn"], row["start_s"], row["speaker"], row["audio"], row["text"]) == (
        7,
        0.1,
        None,
        "a/b..c.wav",
        " kept ",
    )


def test_an_empty_text_beside_media_stays_empty() -> None:
    rows = typed(*(GOOD | {"text": text, "audio": "a.wav"} for text in ("", " ", None)))
    assert [row["text"] for row in rows] == ["", " ", None] and not any(row["reason"] for row in rows)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00:00Z", "2026-03-01 12:00:00+00:00", "2026-03-01 12:00:00", "2026-03-01T12:00:00.000",
        "2026-03-01 13:00:00+01:00", "2026-03-01T12:00:00.000000000Z", "20260301T120000Z", "2026-03-01T12Z",
    ],
)  # fmt: skip
def test_times_are_utc(text: str) -> None:
    assert typed(GOOD | {"occurred_at": text})[0]["occurred_at"] == datetime(2026, 3, 1, 12, tzinfo=UTC)


parts = st.tuples(
    st.sampled_from(["2026", "0000", "0001", "9999"]), st.integers(0, 13), st.integers(0, 32), st.sampled_from("T "),
    st.integers(0, 25), st.sampled_from([0, 59, 60]), st.sampled_from([0, 59, 60]),
    st.sampled_from(["", ".5", ".000001", ".1234567"]), st.sampled_from(["", "Z", "+00:00", "+02:00", "z"]),
)  # fmt: skip


@given(st.lists(parts, min_size=1, max_size=20))
def test_the_usual_times_are_read_as_any_other(written: list[tuple]) -> None:
    texts = ["{}-{:02d}-{:02d}{}{:02d}:{:02d}:{:02d}{}{}".format(*values) for values in written]
    found = typed(*(GOOD | {"occurred_at": text} for text in texts))
    assert [row["occurred_at"] for row in found] == [python_time(text) for text in texts]


def python_time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def test_a_conversation_has_one_bucket_and_it_never_changes() -> None:
    rows = [GOOD | {"conversation_id": f"c{i % 7}", "turn": str(i)} for i in range(70)]
    found = {(row["conversation_id"], row["bucket"]) for row in typed(*rows, shards=5)}
    assert len(found) == 7
    assert {bucket for name, bucket in found if name == "c3"} == {4}
