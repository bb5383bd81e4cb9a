"""Recordings beside a transcript: same folder, same name, and the ending of a known medium."""

import re
from collections import defaultdict
from dataclasses import replace

from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile
from tasks.storage.filesystem import answering, is_folder, list_files, open_url

# Of several recordings of one name, the one whose ending comes first here.
AUDIO = ("wav", "flac", "ogg", "opus", "mp3", "m4a", "aac", "wma", "aif", "aiff")
VIDEO = ("mp4", "mkv", "webm", "mov", "m4v", "avi", "mpg", "mpeg", "ts", "wmv")
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

    ``talk.json`` goes with ``talk.wav``, ``talk.mp4`` or both; so do ``talk.wav.json`` and ``talk.en.json``.
    """
    names = media_names(path, media_root)
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        by_stem[name.rpartition(".")[0]].append(name)

    def pair(file: SourceFile) -> SourceFile:
        stem = file.name.rpartition(".")[0]
        groups = (by_stem[stem], [stem] if stem in names else [], by_stem[_LANGUAGE.sub("", stem)])
        pairs = (replace(file, audio=_first(group, AUDIO), video=_first(group, VIDEO)) for group in groups)
        return next((paired for paired in pairs if paired.audio or paired.video), file)

    return [pair(file) for file in files]


def _first(names: list[str], endings: tuple[str, ...]) -> str | None:
    """Choose the name whose ending comes first among ``endings``."""
    return next((name for ending in endings for name in names if name.lower().endswith(f".{ending}")), None)
