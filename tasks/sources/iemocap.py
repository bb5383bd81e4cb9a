"""The IEMOCAP release: Session1 to Session5, of each the dialogues' transcriptions, evaluations, sound and video.

A dialogue is a conversation, and its recording is shared by its utterances: their spans are the transcript's.
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
# The six classes of the published comparisons; what else the evaluators agreed on, or did not, is no annotation there.
EMOTIONS = {
    "hap": "happy", "sad": "sad", "neu": "neutral", "ang": "angry", "exc": "excited", "fru": "frustrated",
    "sur": None, "fea": None, "dis": None, "oth": None, "xxx": None,
}  # fmt: skip
_TRANSCRIPT = re.compile(r"((?:.*/)?)dialog/transcriptions/([^/]+)\.txt")
_LINE = re.compile(r"(\w+_([FM])\w+)\s+\[(\d+\.\d+)-(\d+\.\d+)\]:?(.*)", re.ASCII)
_EVALUATION = re.compile(r"\[[\d. ]+-[\d. ]+\]\s+(\w+)\s+(\w+)(\s.*)?", re.ASCII)
_TEST_SESSION = "Ses05"


class Iemocap:
    """Sessions 1 to 4 are train, 5 is test; no dialogue is marked dev, so that training takes it out of train.

    Sound is the dialogue's, else its video's, else one clip an utterance from ``sentences/wav``.
    """

    def files(self, path: str, media_root: str | None) -> list[SourceFile]:
        texts = {file.name: file for file in find_files(path, (".txt",), EXPECTED)}
        media = media_names(path, media_root)
        clips = {f"{name.rpartition('/')[0]}/" for name in media if "sentences/wav/" in name}
        found = []
        for name, file in texts.items():
            if match := _TRANSCRIPT.fullmatch(name):
                session, dialogue = match.groups()
                video = f"{session}dialog/avi/DivX/{dialogue}.avi"
                sound, clip = f"{session}dialog/wav/{dialogue}.wav", f"{session}sentences/wav/{dialogue}/"
                audio = sound if sound in media else clip if clip in clips and video not in media else None
                evaluation = texts.get(f"{session}dialog/EmoEvaluation/{dialogue}.txt")
                video_there = video if video in media else None
                found.append(replace(file, audio=audio, video=video_there, companion=evaluation))
        if not found:
            raise WorkflowError(f"{path} holds no such file\n  expected: {EXPECTED}")
        return found

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
            found = conversation(shared, dialogue, _spoken(lines, file.companion, clips), split)
            # A clip is one utterance as a whole; the span is one in the dialogue.
            yield found.with_columns(start_s=pl.lit(None, pl.String), end_s=pl.lit(None, pl.String)) if clips else found


def _lines(text: str) -> list[tuple[int, str]]:
    """Lines that are not empty, with their numbers from 1."""
    return [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _spoken(lines: list[tuple[int, str]], evaluation: SourceFile | None, clips: str | None) -> Iterator[Spoken]:
    """A transcription's lines with their emotions; and what is evaluated and cannot be given to one of them."""
    emotions: dict[str, tuple[int, str, str]] = {}
    evaluations: list[tuple[int, str]] = []
    try:
        evaluations = _lines(read_text(evaluation)) if evaluation else []
    except Unreadable as error:
        yield rejected(1, f"evaluation: {error}", error.content)
    for number, line in evaluations:
        if line.startswith("["):  # the others are its heading and what each evaluator said
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
    """What is wrong with an evaluation's line, the utterance's name, and the code of its emotion."""
    match = _EVALUATION.fullmatch(line.strip())
    if match is None:
        return "is not [START - END] NAME EMOTION [V, A, D]", "", ""
    name, code, _ = match.groups()
    return None if code in EMOTIONS else f"there is no emotion {code[:20]!r}", name, code
