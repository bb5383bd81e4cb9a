"""The recording that lies beside a transcript: the same folder, the same name, an ending of a known medium."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile
from tasks.storage.filesystem import open_url

# Of several recordings of one name, the one whose ending comes first here.
AUDIO = ("wav", "flac", "ogg", "opus", "mp3", "m4a", "aac", "wma", "aif", "aiff")
VIDEO = ("mp4", "mkv", "webm", "mov", "m4v", "avi", "mpg", "mpeg", "ts", "wmv")
_LANGUAGE = re.compile(r"\.[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")  # talk.en.srt and talk.pt-BR.srt are of talk.mp4


def media_names(path: str, media_root: str | None) -> set[str]:
    """Names of the files below the media root, relative to it; absent: below a source folder, or beside a source file.

    Raises:
        WorkflowError: the media root is not there.
    """
    fs, root = open_url(media_root or path)
    depth = None
    if media_root is None and not fs.isdir(root):
        root, depth = root.rpartition("/")[0], 1
    if not fs.isdir(root):
        raise WorkflowError(f"the media root {media_root} is not there, or is not a folder")
    return {name.removeprefix(root).strip("/") for name in fs.find(root, maxdepth=depth)}


def with_recordings(files: list[SourceFile], path: str, media_root: str | None) -> list[SourceFile]:
    """The files with the recordings that go with them; one that has none is of text alone.

    ``talk.json`` goes with ``talk.wav``, ``talk.mp4`` or both; so do ``talk.wav.json`` and ``talk.en.json``.
    """
    names = media_names(path, media_root)
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        by_stem[name.rpartition(".")[0]].append(name)

    def found(file: SourceFile) -> SourceFile:
        stem = file.name.rpartition(".")[0]
        whole = [stem] if stem in names else []
        beside = (by_stem[stem], whole, by_stem[_LANGUAGE.sub("", stem)])
        return next(filter(_has_one, (_recorded(file, group) for group in beside)), file)

    return [found(file) for file in files]


def _recorded(file: SourceFile, names: Iterable[str]) -> SourceFile:
    def first(endings: tuple[str, ...]) -> Iterator[str]:
        for ending in endings:
            yield from (name for name in names if name.lower().endswith(f".{ending}"))

    return replace(file, audio=next(first(AUDIO), None), video=next(first(VIDEO), None))


def _has_one(file: SourceFile) -> bool:
    return bool(file.audio or file.video)
