"""Recordings beside a transcript: same folder, same name, and the ending of a known medium."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from unicodedata import normalize

from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile
from tasks.storage.filesystem import answering, is_folder, list_files, open_url

# Of several recordings of one name, the one whose ending comes first here.
AUDIO = ("wav", "flac", "ogg", "opus", "mp3", "m4a", "aac", "wma", "aif", "aiff")
VIDEO = ("mp4", "mkv", "webm", "mov", "m4v", "avi", "mpg", "mpeg", "ts", "wmv")
_MOST_NAMED = 10  # files in a message
_LANGUAGE = re.compile(r"\.[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")  # talk.en.srt and talk.pt-BR.srt are of talk.mp4


def media_names(path: str, media_root: str | None) -> set[str]:
    """List the files below the media root, relative to it; without one, below a source folder or beside a source file.

    Raises:
        WorkflowError: there is no such folder.
    """
    fs, root = open_url(media_root or path)
    depth = None
    with answering(media_root or path):
        if media_root is None and not is_folder(fs, root):
            root, depth = root.rpartition("/")[0], 1
        if not is_folder(fs, root):
            raise WorkflowError(f"the media root {media_root} is not there, or is not a folder")
        return {name.removeprefix(root).strip("/") for name in list_files(fs, root, depth)}


def with_recordings(files: list[SourceFile], path: str, media_root: str | None) -> list[SourceFile]:
    """Pair files with their recordings; a file without one is left as it is, text alone.

    ``talk.json`` goes with ``talk.wav``, ``talk.mp4`` or both; so do ``talk.wav.json`` and ``talk.en.json``. Where no
    name is the same, one that differs in its Unicode form or its case alone is.

    Raises:
        WorkflowError: two recordings of the same kind differ from a file's name in form or case alone.
    """
    names = sorted(media_names(path, media_root))
    ways = [_Pairing(names, spelling) for spelling in (str, _composed, _folded)]
    paired, unclear = [], []
    for file in files:
        matches = (match for way in ways for match in way.of(file))
        audio, video = next(matches, ((), ()))
        unclear += [f"{file.name}: {', '.join(same)}" for same in (audio, video) if len(same) > 1]
        paired.append(replace(file, audio=next(iter(audio), None), video=next(iter(video), None)))
    if unclear:
        raise WorkflowError(
            "several recordings go with one file, whose names differ in case or accents alone\n"
            + "".join(f"  {line}\n" for line in unclear[:_MOST_NAMED])
            + "  rename those that do not belong to it, or give the file the very name of its recording"
        )
    return paired


class _Pairing:
    """Recordings by name without ending, names being the same where their spellings are."""

    def __init__(self, names: list[str], spelling: Callable[[str], str]) -> None:
        self._spelling = spelling
        self._whole: dict[str, list[str]] = defaultdict(list)
        self._stems: dict[str, list[str]] = defaultdict(list)
        for name in names:
            self._whole[spelling(name)].append(name)
            self._stems[spelling(name.rpartition(".")[0])].append(name)

    def of(self, file: SourceFile) -> Iterator[tuple[list[str], list[str]]]:
        """Yield the sound and video recordings that go with a file, the nearest name first."""
        stem = file.name.rpartition(".")[0]
        for group in (
            self._stems.get(self._spelling(stem), []),
            self._whole.get(self._spelling(stem), []),
            self._stems.get(self._spelling(_LANGUAGE.sub("", stem)), []),
        ):
            audio, video = _first(group, AUDIO), _first(group, VIDEO)
            if audio or video:
                yield audio, video


def _composed(name: str) -> str:
    """A name with its accents composed: a Mac stores them as letters of their own."""
    return normalize("NFC", name)


def _folded(name: str) -> str:
    """A name whatever its case."""
    return normalize("NFC", normalize("NFC", name).casefold())


def _first(names: list[str], endings: tuple[str, ...]) -> list[str]:
    """Choose the names whose ending comes first among ``endings``; several where they differ in spelling alone."""
    groups = ([name for name in names if name.lower().endswith(f".{ending}")] for ending in endings)
    same = next((group for group in groups if group), [])
    exact = len({name.rpartition(".")[0] for name in same}) == 1  # a.wav and a.WAV: the first, as ever
    return same[:1] if exact else same
