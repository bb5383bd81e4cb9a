from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.sources.registry import source
from tasks.storage.workspace import Workspace
from tests.fixtures.sources.ingested import ingest_source, read_archive

SRT = """1
00:00:01,000 --> 00:00:02,500
ANN: <i>Hello</i> &amp;
welcome

2
00:01:03,000 --> 01:00:04,250 X1:100 X2:200
- Hi.
- {\\an8}Good morning.
"""
VTT = """WEBVTT - a talk
Kind: captions

STYLE
::cue { color: red }

NOTE not a cue
at all

intro
00:01.000 --> 00:02.500 align:start
<v.loud Ann &amp; Co>Hello <c.x>you</c> <00:01.700>all

01:00:03.000 --> 01:00:04.000
<v Ann>Hi <v Bob>there
"""


def read(folder: Path, kind: str, text: str | bytes) -> pl.DataFrame:
    (folder / f"talk.{kind}").write_bytes(text if isinstance(text, bytes) else text.encode())
    subtitles = source(kind)
    [file] = subtitles.files(str(folder), None)
    return pl.concat(list(subtitles.batches(file, None)))


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\r"])
def test_srt_cues_are_utterances_beside_their_video(tmp_path: Path, break_: str) -> None:
    (tmp_path / "talk.mkv").touch()
    found = read(tmp_path, "srt", "\ufeff" + SRT.replace("\n", break_))
    assert found["text"].to_list() == ["Hello & welcome", "- Hi. - Good morning."]
    assert found["speaker"].to_list() == ["ANN", None] and found["problem"].null_count() == 2
    assert found["start_s"].to_list() == ["1.000", "63.000"] and found["end_s"].to_list() == ["2.500", "3604.250"]
    assert found["video"].to_list() == ["talk.mkv"] * 2 and found["conversation_id"].to_list() == ["talk"] * 2


def test_vtt_voices_are_speakers_and_notes_are_no_cues(tmp_path: Path) -> None:
    found = read(tmp_path, "vtt", VTT)
    assert found["text"].to_list() == ["Hello you all", "Hi there"]
    assert found["speaker"].to_list() == ["Ann & Co", None]
    assert found["start_s"].to_list() == ["1.000", "3603.000"]


@pytest.mark.parametrize(
    ("text", "speaker", "said"),
    [
        ("ANN: Hello", "ANN", "Hello"),
        ("- MR. O'BRIEN: Hello", "MR. O'BRIEN", "Hello"),
        ("[Ann]: Hello", "Ann", "Hello"),
        ("[SPEAKER_00]: HELLO", "SPEAKER_00", "HELLO"),
        ("Speaker 2: Hello", "Speaker 2", "Hello"),
        ("ÉMILE: Bonjour", "ÉMILE", "Bonjour"),
        ("Ann: Hello", None, "Ann: Hello"),
        ("REMEMBER: WE GO", None, "REMEMBER: WE GO"),
        ("THE ONE THING TO KNOW: it rains", None, "THE ONE THING TO KNOW: it rains"),
        ("At 10:30 sharp", None, "At 10:30 sharp"),
        ("ANN: Hello\nBOB: Hi", None, "ANN: Hello BOB: Hi"),
        ("ANN: Hello\n- Hi", None, "ANN: Hello - Hi"),
        ("1 < 2 and 3 > 2", None, "1 < 2 and 3 > 2"),
    ],
)
@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_a_speaker_is_named_only_where_that_is_plain(
    tmp_path: Path, kind: str, text: str, speaker: str | None, said: str
) -> None:
    found = read(
        tmp_path, kind, ("WEBVTT\n\n" if kind == "vtt" else "1\n") + f"00:00:01.000 --> 00:00:02.000\n{text}\n"
    )
    assert (found["speaker"][0], found["text"][0]) == (speaker, said)


def test_a_cue_that_cannot_be_read_is_rejected_and_the_rest_goes_on(workspace: Workspace, tmp_path: Path) -> None:
    good = b"00:00:0%d,000 --> 00:00:09,000\ntext\n"
    cues = [
        b"1\n" + good % 8,
        b"2\n00:00:03,0x0 --> 00:00:04,000\nodd",
        b"a paragraph that lost its times",
        b"3\n" + good % 4 + b"4\n" + good % 5,
        b"5\n00:00:06,000 --> 00:00:07,000\n\xff\xfe",
        b"6\n00:99:06,000 --> 00:00:07,000\nx",
        b"7\n00:00:07,000 --> 00:00:08,000",
        good % 2,
    ]
    (tmp_path / "talk.srt").write_bytes(b"\n\n".join(cues))
    manifest = ingest_source(workspace, tmp_path / "talk.srt", kind="srt")
    assert (manifest.counts["rows_in"], manifest.rows) == (8, 2)
    rejected = read_archive(workspace, "rejected").sort("row")
    assert rejected["row"].to_list() == [2, 3, 4, 5, 6, 7]
    for reason, said in zip(
        rejected["reason"],
        ["times '00:00:03,0x0", "has no times", "two lines of times", "is not valid UTF-8", "times '00:99", "neither"],
        strict=True,
    ):
        assert said in reason
    assert read_archive(workspace, "utterances")["start_s"].to_list() == [2.0, 8.0]


def test_what_is_no_webvtt_is_one_rejected_row(tmp_path: Path) -> None:
    found = read(tmp_path, "vtt", SRT)
    assert found["problem"].to_list() == ["does not begin with WEBVTT"]
    assert len(read(tmp_path, "vtt", "WEBVTT")) == 0


def test_a_vtt_heading_without_its_empty_line_keeps_the_first_cue(tmp_path: Path) -> None:
    assert read(tmp_path, "vtt", "WEBVTT\n00:01.000 --> 00:02.000\nHello")["text"].to_list() == ["Hello"]


pieces = st.sampled_from(
    ["\n", "\n\n", "1", "00:00:01,000 --> 00:00:02,000", "00:00:01.000 --> 00:00:02.000", "-->", "WEBVTT", "NOTE",
     "<v Ann>", "<v", "ANN: x", "[", "&#xD800;", "\udcff", "\x0b", "\u2028", "text", " "]
)  # fmt: skip


@pytest.mark.long
@given(st.lists(pieces, max_size=25).map("".join), st.sampled_from(["srt", "vtt"]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_becomes_rows_that_are_read_or_say_why(tmp_path: Path, text: str, kind: str) -> None:
    found = read(tmp_path, kind, text.encode("utf-8", "surrogateescape"))
    assert found.filter(pl.col("problem").is_null() & pl.col("start_s").is_null()).is_empty()
    assert found.filter(pl.col("problem").is_not_null() & pl.col("content").is_null()).is_empty()
