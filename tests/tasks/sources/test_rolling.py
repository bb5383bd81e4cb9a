"""Captions that repeat what they show: every line once, with its own times, and no line of other subtitles lost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.sources.registry import source

Shown = tuple[float, float, list[str]]  # a cue's begin, end and lines
SECONDS = 2.2
YOUTUBE = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.360 align:start position:0%
~
so<00:00:00.460><c> here</c><00:00:00.760><c> is</c><00:00:01.060><c> the</c><00:00:01.360><c> first</c>

00:00:02.360 --> 00:00:02.370 align:start position:0%
so here is the first
~

00:00:02.370 --> 00:00:04.570 align:start position:0%
so here is the first
<00:00:02.670><c>that</c><00:00:02.970><c> I</c><00:00:03.270><c> want</c>

00:00:04.570 --> 00:00:04.580 align:start position:0%
that I want
~
""".replace("~", " ")


def read(folder: Path, kind: str, text: str) -> pl.DataFrame:
    (folder / f"talk.{kind}").write_text(text)
    subtitles = source(kind)
    [file] = subtitles.files(str(folder), None)
    return pl.concat(list(subtitles.batches(file, None)))


def spoken(found: pl.DataFrame) -> list[tuple[str, str, str]]:
    assert found["problem"].null_count() == len(found)
    return found.select("start_s", "end_s", "text").rows()


def written(kind: str, cues: list[Shown]) -> str:
    """Cues as a file of this kind has them."""

    def time(seconds: float) -> str:
        whole = round(seconds * 1000)
        mark = "." if kind == "vtt" else ","
        return f"{whole // 3_600_000:02d}:{whole // 60_000 % 60:02d}:{whole // 1000 % 60:02d}{mark}{whole % 1000:03d}"

    texts = (
        f"{number}\n{time(begin)} --> {time(end)}\n" + "\n".join(lines) + "\n\n"
        for number, (begin, end, lines) in enumerate(cues, 1)
    )
    return ("WEBVTT\n\n" if kind == "vtt" else "") + "".join(texts)


def automatic(lines: list[str]) -> Iterator[Shown]:
    """The line before above the new one, and ten milliseconds of the new one alone."""
    before = " "
    for number, line in enumerate(lines):
        begin = number * SECONDS
        yield begin, begin + SECONDS - 0.01, [before, line]
        yield begin + SECONDS - 0.01, begin + SECONDS, [line, " "]
        before = line


def overlapping(lines: list[str]) -> Iterator[Shown]:
    """Two lines on the screen, each shown until it has rolled off."""
    for number, line in enumerate(lines):
        yield number * SECONDS, (number + 2) * SECONDS, [*lines[max(0, number - 1) : number], line]


def rolled_up(lines: list[str]) -> Iterator[Shown]:
    """Three lines on the screen, as on television."""
    for number in range(len(lines)):
        yield number * SECONDS, (number + 1) * SECONDS, lines[max(0, number - 2) : number + 1]


def painted_on(lines: list[str]) -> Iterator[Shown]:
    """Word by word."""
    for number, line in enumerate(lines):
        words = line.split()
        for count in range(1, len(words) + 1):
            begin = number * SECONDS + (count - 1) * SECONDS / len(words)
            yield begin, number * SECONDS + count * SECONDS / len(words), [" ".join(words[:count])]


def letter_by_letter(lines: list[str]) -> Iterator[Shown]:
    """Below the line before."""
    for number, line in enumerate(lines):
        for count in range(1, len(line) + 1):
            if line[count - 1] != " ":
                begin = number * SECONDS + (count - 1) * SECONDS / len(line)
                shown = [*lines[max(0, number - 1) : number], line[:count]]
                yield begin, number * SECONDS + count * SECONDS / len(line), shown


WAYS = [automatic, overlapping, rolled_up, painted_on, letter_by_letter]
sentence = st.lists(st.sampled_from(["yes", "no", "we", "go", "home", "1 < 2", "so,"]), min_size=1, max_size=5)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["vtt", "srt"])
@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(sentences=st.lists(sentence, min_size=3, max_size=8))
def test_every_line_is_an_utterance_once(
    tmp_path: Path, kind: str, way: Callable[[list[str]], Iterator[Shown]], sentences: list[list[str]]
) -> None:
    lines = [f"{'abcdefgh'[number]} {' '.join(words)}" for number, words in enumerate(sentences)]
    found = spoken(read(tmp_path, kind, written(kind, list(way(lines)))))
    assert [text for _, _, text in found] == lines
    for number, (begin, end, _) in enumerate(found):
        assert float(begin) == pytest.approx(number * SECONDS, abs=0.02)
        last = number == len(lines) - 1 and way is overlapping  # nothing rolls it off
        assert float(end) == pytest.approx((number + 1 + last) * SECONDS, abs=0.02)


def test_automatic_captions_have_the_times_of_their_words(tmp_path: Path) -> None:
    assert spoken(read(tmp_path, "vtt", YOUTUBE)) == [
        ("0.160", "2.360", "so here is the first"),
        ("2.670", "4.570", "that I want"),
    ]


@pytest.mark.parametrize("kind", ["vtt", "srt"])
def test_what_is_said_twice_in_rolling_captions_is_two_utterances(tmp_path: Path, kind: str) -> None:
    lines = ["no", "no", "so it is", "so it is", "yes"]
    found = spoken(read(tmp_path, kind, written(kind, list(automatic(lines)))))
    assert [text for _, _, text in found] == lines


@pytest.mark.parametrize("kind", ["vtt", "srt"])
@pytest.mark.parametrize(
    "cues",
    [
        [(0, 1, ["No."]), (1, 2, ["No."]), (2, 3, ["No. Never."]), (3, 4, ["Then go."])],
        [(0, 1, ["Go!"]), (1, 2, ["Go!"]), (2, 3, ["Go!"]), (3, 4, ["Go!"])],
        [(0, 1, ["- Hi.", "- Hi."]), (1, 2, ["- Hi.", "- Oh."]), (2, 3, ["Well."]), (9, 10, ["Well."])],
        [(0, 0.01, ["x"]), (1, 1.01, ["y"]), (2, 3, ["z"])],
        [(0, 1, ["La la"]), (5, 6, ["La la", "la"]), (9, 10, ["la", "La la"])],
    ],
)
def test_other_subtitles_keep_what_they_repeat(tmp_path: Path, kind: str, cues: list[Shown]) -> None:
    found = spoken(read(tmp_path, kind, written(kind, cues)))
    assert [text for _, _, text in found] == [" ".join(lines) for _, _, lines in cues]


@pytest.mark.parametrize("kind", ["vtt", "srt"])
@pytest.mark.parametrize("blank", ["", " ", "\t", " \n", "\n "])
def test_lines_of_blanks_between_and_within_cues(tmp_path: Path, kind: str, blank: str) -> None:
    """Between two cues they are as good as an empty line; within one they end nothing."""
    text = written(kind, [(0, 1, ["one", "more"]), (1, 2, ["two"]), (2, 3, ["three"])])
    assert [row[2] for row in spoken(read(tmp_path, kind, text.replace("\n\n", f"\n{blank}\n")))] == [
        "one more", "two", "three",
    ]  # fmt: skip
    if blank.strip("\n"):
        within = text.replace("one\nmore", f"one\n{blank.strip(chr(10))}\nmore")
        assert [row[2] for row in spoken(read(tmp_path, kind, within))] == ["one more", "two", "three"]
    below = text.replace("\ntwo", f"\n{blank}\ntwo")
    assert [row[2] for row in spoken(read(tmp_path, kind, below))] == ["one more", "two", "three"]


texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\0<>&{}", exclude_categories=("Cs", "Cc")), max_size=12
)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["vtt", "srt"])
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    lines=st.lists(st.lists(texts.filter(lambda text: "-->" not in text), min_size=1, max_size=3), max_size=6),
    spoiled=st.sets(st.integers(0, 5)),
)
def test_every_cue_is_an_utterance_a_rejected_row_or_blank_and_no_word_is_altered(
    tmp_path: Path, kind: str, lines: list[list[str]], spoiled: set[int]
) -> None:
    """Pauses between the cues: nothing rolls. The times of some are no times."""
    filled = [[line for line in cue if line.strip()] or ["x"] for cue in lines]
    text = written(kind, [(10 * number, 10 * number + 1, cue) for number, cue in enumerate(filled)])
    for number in spoiled & set(range(len(filled))):
        text = text.replace(
            f"{number * 10 // 60:02d}:{number * 10 % 60:02d}{'.' if kind == 'vtt' else ','}000 -->", "soon -->", 1
        )
    found = read(tmp_path, kind, text)
    accepted, refused = found.filter(pl.col("problem").is_null()), found.filter(pl.col("problem").is_not_null())
    assert len(accepted) + len(refused) == len(filled)
    assert sorted(refused["row"]) == sorted(number + 1 for number in spoiled if number < len(filled))
    for row, speaker, said in accepted.select("row", "speaker", "text").iter_rows():
        words = "".join(" ".join(filled[row - 1]).split())
        assert "".join(said.split()) == words or (speaker and words.endswith("".join(said.split())))
