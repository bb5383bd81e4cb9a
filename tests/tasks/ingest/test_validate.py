import json

import polars as pl
import pytest

from tasks.config.tables import TableSettings
from tasks.ingest.validate import CANONICAL, SCANNED, typed_rows
from tasks.sources.null_values import WORDS

GOOD = {"conversation_id": "c", "turn": "1", "text": "hello"}


def typed(*rows: dict[str, str | None], shards: int = 4, table: TableSettings | None = None) -> list[dict]:
    columns = {name: [row.get(name) for row in rows] for name in CANONICAL}
    more = {"problem": [row.get("problem") for row in rows], "content": [row.get("content") for row in rows]}
    frame = pl.DataFrame(columns | more, schema=dict.fromkeys([*CANONICAL, *more], pl.String))
    table = typed_rows(frame.with_columns(row=pl.int_range(1, len(rows) + 1)), "f.csv", shards, table)
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
        ({"text": None, "audio": "a.wav", "start_s": "soon"}, "start_s 'soon' is not a number of seconds"),
        ({"text": "", "video": "a.mp4", "end_s": "inf"}, "end_s 'inf' is not a number of seconds"),
        ({"text": None, "audio": "a/../../x.wav"}, "audio 'a/../../x.wav' leaves the media root"),
        ({"text": " ", "audio": "..//x.wav"}, "audio '..//x.wav' leaves the media root"),
        ({"text": None, "audio": "~/x.wav"}, "audio '~/x.wav' leaves the media root"),
        ({"text": None, "video": "http://host/x.mp4"}, "video 'http://host/x.mp4' leaves the media root"),
        ({"text": None, "video": "C:\\x.mp4"}, "video 'C:\\x.mp4' leaves the media root"),
        ({"problem": "is not JSON", "content": "{"}, "is not JSON"),
    ],
)
def test_why_a_row_cannot_be_used(change: dict, reason: str) -> None:
    found = typed(GOOD | change, GOOD)
    assert found[0]["reason"] == reason and found[0]["content"]
    assert all(found[0][name] is None for name in CANONICAL)
    assert found[1]["reason"] is None and found[1]["text"] == "hello"


@pytest.mark.parametrize(
    "audio", ["/media/x.wav", "rec:01.wav", "~x.wav", "a/../x.wav", "a..b/x.wav", "s3://media/x.wav", "x/..wav"]
)
def test_a_path_that_may_lie_below_the_media_root_is_left_to_extract(audio: str) -> None:
    [row] = typed(GOOD | {"text": None, "audio": audio})
    assert row["reason"] is None and row["audio"] == audio


@pytest.mark.parametrize("audio", ["../x.wav", "http://host/x.wav", "C:\\x.wav", "~/x.wav"])
def test_a_path_that_leaves_the_media_root_costs_no_text(audio: str) -> None:
    """Extract says why there is no sound, in the row's label."""
    [row] = typed(GOOD | {"audio": audio})
    assert (row["reason"], row["text"], row["audio"]) == (None, "hello", audio)


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


def test_a_time_that_cannot_be_read_costs_the_time_alone() -> None:
    row = typed(GOOD | {"occurred_at": "yesterday", "audio": "a.wav", "start_s": "1"})[0]
    assert row["reason"] is None and row["occurred_at"] is None and row["losses"] == ["unreadable.occurred_at"]
    assert (row["text"], row["audio"], row["start_s"]) == ("hello", "a.wav", 1.0)


def test_a_span_that_cannot_be_read_costs_the_media_too() -> None:
    """Without its span the whole recording would be the utterance's."""
    row = typed(GOOD | {"start_s": "soon", "end_s": "2", "audio": "a.wav", "video": "a.mp4"})[0]
    assert row["reason"] is None and row["text"] == "hello" and row["losses"] == ["unreadable.start_s"]
    assert [row[name] for name in ("start_s", "end_s", "audio", "video")] == [None] * 4


@pytest.mark.long
@pytest.mark.parametrize("word", WORDS)
def test_a_word_for_no_value_is_none_in_a_table_but_what_someone_says(word: str) -> None:
    table = TableSettings()
    row = typed(
        GOOD | {"speaker": word, "emotion": f" {word} ", "split": word, "start_s": word, "text": word}, table=table
    )[0]
    assert [row[name] for name in ("speaker", "emotion", "split", "start_s", "reason")] == [None] * 5
    assert row["text"] == word
    assert row["losses"] == [f"no_value.{name}" for name in ("speaker", "start_s", "emotion", "split")]
    assert typed(GOOD | {"emotion": word}, table=TableSettings(null_values=()))[0]["emotion"] == word
    assert typed(GOOD | {"emotion": word})[0]["emotion"] == word  # no table: a file is called so, or a subtitle's voice


def test_no_conversation_is_called_nan_unless_somebody_asks() -> None:
    row = typed(GOOD | {"conversation_id": "nan"}, table=TableSettings())[0]
    assert row["reason"] == "no conversation_id" and json.loads(row["content"])["conversation_id"] == "nan"


def test_words_that_users_list_count_in_text_and_beside_the_usual_ones() -> None:
    assert TableSettings.model_validate({"null_values": "NA"}).null_values == ("NA",)
    table = TableSettings(null_values=("xxx", "NA"))
    rows = typed(
        GOOD | {"emotion": "xxx", "audio": "a.wav", "text": "NA"},
        GOOD | {"emotion": "nan", "text": "xxx y"},
        table=table,
    )
    assert [(row["emotion"], row["text"]) for row in rows] == [(None, None), (None, "xxx y")]
    assert rows[0]["losses"] == ["no_value.text", "no_value.emotion"]


@pytest.mark.parametrize("word", ["Nan", "NAN"])
def test_nan_in_capitals_is_a_speaker_and_no_class(word: str) -> None:
    row = typed(GOOD | {"speaker": word, "emotion": word, "text": word}, table=TableSettings())[0]
    assert (row["speaker"], row["emotion"], row["text"]) == (word, None, word)
    assert typed(GOOD | {"conversation_id": word}, table=TableSettings())[0]["reason"] == "no conversation_id"


@pytest.mark.parametrize("name", ["none", "na", "Null", "nano"])
def test_names_that_look_like_no_value_are_names(name: str) -> None:
    assert typed(GOOD | {"speaker": name, "emotion": name}, table=TableSettings())[0]["emotion"] == name


def test_a_conversation_has_one_bucket_and_it_never_changes() -> None:
    rows = [GOOD | {"conversation_id": f"c{i % 7}", "turn": str(i)} for i in range(70)]
    found = {(row["conversation_id"], row["bucket"]) for row in typed(*rows, shards=5)}
    assert len(found) == 7
    assert {bucket for name, bucket in found if name == "c3"} == {4}
