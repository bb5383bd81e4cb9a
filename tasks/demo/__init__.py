"""The demo archive: synthetic conversations with text, WAV and MP4 files on disk, the same for the same seed.

Every file is drawn from the seed and its own place in the archive, so none depends on the order of making.
"""

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sdt_model.config import Modality
from tasks.demo.face import Face, draw_face, film, write_mp4
from tasks.demo.script import Line, stream, write_conversation
from tasks.demo.sound import Voice, draw_voice, speak, write_wav
from tasks.demo.text import write_sentence
from tasks.errors import WorkflowError

__all__ = ["make_demo_archive"]

_VERSION = 1  # raise it when the same parameters give another archive
_TABLE, _MARKER, _README = "utterances.jsonl", "demo.json", "README.txt"
_FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)
_DAYS = 3
_HELD_OUT = 0.15  # share of conversations in dev, and in test
_LACKING = 0.03  # share of utterances that lack a modality, for each modality
_NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ida", "Jon", "Kim", "Leo")
_ABOUT = """SYNTHETIC DATA. Nobody said, recorded or filmed any of this.

The sentences come from templates, the voices from a synthesiser, the faces are drawn. Emotions were
drawn first; what is said, heard and seen follows them with noise. A few utterances lack their text,
sound or picture, and one video is damaged, on purpose. Scores on this archive say that a workflow
works; they say nothing about people.
"""


@dataclass(frozen=True)
class _Plan:
    """What is decided for the archive as a whole."""

    lines: list[Line]
    splits: list[str]  # of each conversation
    lacking: dict[Line, Modality]
    corrupt: Line  # its video is damaged


@dataclass(frozen=True)
class _Speaker:
    name: str
    voice: Voice
    face: Face


def make_demo_archive(folder: Path, conversations: int = 120, seed: int = 7) -> Path:
    """Write the archive into ``folder`` and return the path of its table, ``utterances.jsonl``.

    A complete archive of the same parameters is left alone; anything less is made again from the start.

    Raises:
        WorkflowError: parameters out of range, or the folder holds a table or media of something else.
    """
    if conversations < 3 or seed < 0:
        raise WorkflowError(
            f"a demo archive of {conversations} conversations with seed {seed} cannot be made: "
            "it needs at least 3 conversations, one for each split, and a seed of 0 or more"
        )
    parameters = {"version": _VERSION, "conversations": conversations, "seed": seed}
    marker = json.dumps(parameters) + "\n"
    plan = _plan(conversations, seed)
    if not _is_complete(folder, marker, plan):
        _clear(folder)
        _write(folder, plan, seed)
        (folder / _MARKER).write_text(marker)
    return folder / _TABLE


def _plan(conversations: int, seed: int) -> _Plan:
    lines = [line for number in range(conversations) for line in write_conversation(seed, number)]
    rng = stream(seed, "plan")
    held_out = max(1, round(_HELD_OUT * conversations))
    names = ["test"] * held_out + ["dev"] * held_out + ["train"] * (conversations - 2 * held_out)
    splits = [names[place] for place in rng.permutation(conversations)]
    order = [lines[place] for place in rng.permutation(len(lines))]
    few = max(1, round(_LACKING * len(lines)))
    lacking: dict[Line, Modality] = dict.fromkeys(order[:few], "text")
    lacking |= dict.fromkeys(order[few : 2 * few], "audio")
    lacking |= dict.fromkeys(order[2 * few : 3 * few], "visual")
    corrupt = next(line for line in order[3 * few :] if splits[line.conversation] == "test")
    return _Plan(lines, splits, lacking, corrupt)


def _media(plan: _Plan, line: Line) -> tuple[str | None, str | None]:
    """URIs of an utterance's sound and video, relative to the archive's folder."""
    stem = f"media/conv-{line.conversation:03d}/{line.turn:03d}"
    lacks = plan.lacking.get(line)
    return None if lacks == "audio" else f"{stem}.wav", None if lacks == "visual" else f"{stem}.mp4"


def _is_complete(folder: Path, marker: str, plan: _Plan) -> bool:
    if not (folder / _MARKER).is_file() or (folder / _MARKER).read_text() != marker:
        return False
    media = (uri for line in plan.lines for uri in _media(plan, line) if uri)
    return (folder / _TABLE).is_file() and all((folder / uri).is_file() for uri in media)


def _clear(folder: Path) -> None:
    """Empty the folder of an earlier demo archive, and of nothing else."""
    readme, media = folder / _README, folder / "media"
    ours = readme.is_file() and readme.read_text() == _ABOUT
    if not ours and (media.exists() or (folder / _TABLE).exists()):
        raise WorkflowError(f"{folder} holds a table or media that are no demo archive: give another folder")
    (folder / _MARKER).unlink(missing_ok=True)
    if media.exists():
        shutil.rmtree(media)
    media.mkdir(parents=True)
    readme.write_text(_ABOUT)


def _write(folder: Path, plan: _Plan, seed: int) -> None:
    for number in range(len(plan.splits)):
        (folder / f"media/conv-{number:03d}").mkdir()
    with (folder / _TABLE).open("w") as table:
        for line in plan.lines:
            speaker = _speaker(seed, line)
            _write_media(folder, plan, line, speaker, seed)
            table.write(json.dumps(_row(plan, line, speaker.name, seed)) + "\n")


def _speaker(seed: int, line: Line) -> _Speaker:
    rng = stream(seed, "speaker", line.conversation, line.speaker)
    name = _NAMES[(5 * line.conversation + line.speaker) % len(_NAMES)]
    return _Speaker(name, draw_voice(rng), draw_face(rng))


def _write_media(folder: Path, plan: _Plan, line: Line, speaker: _Speaker, seed: int) -> None:
    audio, video = _media(plan, line)
    if audio:
        rng = stream(seed, "audio", line.conversation, line.turn)
        write_wav(folder / audio, speak(speaker.voice, line.shown["audio"], rng))
    if video:
        rng = stream(seed, "visual", line.conversation, line.turn)
        write_mp4(folder / video, film(speaker.face, line.shown["visual"], rng))
        if line == plan.corrupt:
            _cut_short(folder / video)


def _cut_short(path: Path) -> None:
    """Leave a file as an interrupted copy does: an MP4's index comes last, so nothing of it can be read."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _row(plan: _Plan, line: Line, speaker: str, seed: int) -> dict[str, object]:
    audio, video = _media(plan, line)
    rng = stream(seed, "text", line.conversation, line.turn)
    text = None if plan.lacking.get(line) == "text" else write_sentence(line.shown["text"], rng)
    opening = int(10 * 3600 * line.conversation / len(plan.splits))  # seconds after eight
    at = _FIRST_DAY + timedelta(days=line.conversation % _DAYS, hours=8, seconds=opening + 4 * line.turn)
    return {
        "conversation_id": f"conv-{line.conversation:03d}",
        "turn": line.turn,
        "speaker": speaker,
        "text": text,
        "audio": audio,
        "video": video,
        "emotion": line.emotion,
        "split": plan.splits[line.conversation],
        "occurred_at": at.isoformat(),
    }
