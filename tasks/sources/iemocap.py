"""The IEMOCAP release: five sessions of dialogues with transcriptions, evaluations, sound and video.

A dialogue is a conversation. Its utterances share its recording, with the transcription's spans.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile, find_files, is_unicode
from tasks.sources.recordings import media_names
from tasks.sources.transcript import Spoken, Unreadable, conversation, read_text, rejected, unreadable

EXPECTED = "the folder with Session1 to Session5, and in each dialog/transcriptions/*.txt, as in the IEMOCAP release"
# The six classes of published comparisons; utterances with another evaluation, or none agreed on, have no emotion.
EMOTIONS = {
    "hap": "happy", "sad": "sad", "neu": "neutral", "ang": "angry", "exc": "excited", "fru": "frustrated",
    "sur": None, "fea": None, "dis": None, "oth": None, "xxx": None,
}  # fmt: skip
_TRANSCRIPT = re.compile(r"((?:.*/)?)dialog/transcriptions/([^/]+)\.txt")
_LINE = re.compile(r"(\w+_([FM])\w+)\s+\[(\d+\.\d+)-(\d+\.\d+)\]:?(.*)", re.ASCII)
_EVALUATION = re.compile(r"\[[\d. ]+-[\d. ]+\]\s+(\w+)\s+(\w+)(\s.*)?", re.ASCII)
_TEST_SESSION = "Ses05"


class Iemocap:
    """Reader of the release: sessions 1 to 4 are train and 5 is test, so training takes its dev split out of train.

    Sound comes from the dialogue's recording, else its video, else one clip an utterance from ``sentences/wav``.
    """

    def files(self, path: str, media_root: str | None) -> list[SourceFile]:
        texts = {file.name: file for file in find_files(path, (".txt",), EXPECTED)}
        media = media_names(path, media_root)
        clips = {f"{name.rpartition('/')[0]}/" for name in media if "sentences/wav/" in name}
        dialogues = []
        for name, file in texts.items():
            if match := _TRANSCRIPT.fullmatch(name):
                session, dialogue = match.groups()
                video = f"{session}dialog/avi/DivX/{dialogue}.avi"
                sound, clip = f"{session}dialog/wav/{dialogue}.wav", f"{session}sentences/wav/{dialogue}/"
                audio = sound if sound in media else clip if clip in clips and video not in media else None
                evaluation = texts.get(f"{session}dialog/EmoEvaluation/{dialogue}.txt")
                dialogues.append(
                    replace(file, audio=audio, video=video if video in media else None, companion=evaluation)
                )
        if not dialogues:
            raise WorkflowError(f"{path} holds no such file\n  expected: {EXPECTED}")
        return dialogues

    def batches(self, file: SourceFile, media_root: str | None) -> Iterator[pl.DataFrame]:  # noqa: ARG002
        dialogue = file.name.rpartition("/")[2].removesuffix(".txt")
        split = "test" if dialogue.startswith(_TEST_SESSION) else "train"
        try:
            lines = _lines(read_text(file))
        except Unreadable as error:
            yield unreadable(file, error)
        else:
            clips = file.audio if file.audio and file.audio.endswith("/") else None
            shared = replace(file, audio=None) if clips else file
            rows = conversation(shared, dialogue, _spoken(lines, file.companion, clips), split)
            # A clip holds one whole utterance, while the spans are places in the dialogue: they would cut it off.
            yield rows.with_columns(start_s=pl.lit(None, pl.String), end_s=pl.lit(None, pl.String)) if clips else rows


def _lines(text: str) -> list[tuple[int, str]]:
    """Split a text into numbered lines, from 1, without the empty ones."""
    return [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _spoken(lines: list[tuple[int, str]], evaluation: SourceFile | None, clips: str | None) -> Iterator[Spoken]:
    """Join a transcription's lines with their emotions; evaluations that fit no line become rejected rows."""
    emotions: dict[str, tuple[int, str, str]] = {}
    evaluations: list[tuple[int, str]] = []
    try:
        evaluations = _lines(read_text(evaluation)) if evaluation else []
    except Unreadable as error:
        yield rejected(1, f"evaluation: {error}", error.content)
    for number, line in evaluations:
        if line.startswith("["):  # the others are the heading and the single evaluators' lines
            problem, name, code = _evaluated(line)
            if problem is None and name in emotions:
                problem = f"{name} is evaluated twice"
            if problem is None:
                emotions[name] = number, line, code
            else:
                yield rejected(number, f"evaluation: {problem}", line)
    for number, line in lines:
        match = _LINE.fullmatch(line.strip())
        if match is None or not is_unicode(line):
            yield rejected(number, "is not NAME [START-END]: TEXT, as UTF-8", line)
            continue
        name, speaker, start, end, text = match.groups()
        emotion = EMOTIONS[emotions.pop(name)[2]] if name in emotions else None
        audio = None if clips is None else f"{clips}{name}.wav"
        yield Spoken(number, start, end, speaker, text.strip(), emotion, audio)
    for name, (number, line, _) in emotions.items():
        yield rejected(number, f"evaluation: {name} is not in the transcription", line)


def _evaluated(line: str) -> tuple[str | None, str, str]:
    """Parse an evaluation's line into its problem, if any, the utterance's name, and the emotion's code."""
    match = _EVALUATION.fullmatch(line.strip())
    if match is None:
        return "is not [START - END] NAME EMOTION [V, A, D]", "", ""
    name, code, _ = match.groups()
    return None if code in EMOTIONS else f"there is no emotion {code[:20]!r}", name, code
