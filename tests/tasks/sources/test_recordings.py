from pathlib import Path

import fsspec
import pytest

from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile
from tasks.sources.recordings import media_names, with_recordings
from tasks.sources.registry import source
from tests.fixtures.chaos.permissions import closed, unprivileged_folder


def found(root: Path, name: str, media: tuple[str, ...], media_root: Path | None = None) -> tuple[str | None, ...]:
    """What goes with a transcript, where these files lie below the media root."""
    for one in (*media, name):
        path = (media_root or root) / one
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    file = SourceFile(str(root / name), name, 1)
    [paired] = with_recordings([file], str(root), media_root and str(media_root))
    return paired.audio, paired.video


@pytest.mark.parametrize(
    ("name", "media", "expected"),
    [
        ("a.json", ("a.wav",), ("a.wav", None)),
        ("d/a.json", ("d/a.MP4", "a.wav"), (None, "d/a.MP4")),
        ("a.srt", ("a.mp3", "a.mkv", "a.wav", "a.jpg"), ("a.wav", "a.mkv")),
        ("a.mp4.json", ("a.mp4",), (None, "a.mp4")),
        ("a.en.srt", ("a.webm",), (None, "a.webm")),
        ("a.pt-BR.srt", ("a.webm", "a.pt-BR.opus"), ("a.pt-BR.opus", None)),
        ("a.1.srt", ("a.webm",), (None, None)),
        ("caf\u00e9.json", ("cafe\u0301.wav",), ("cafe\u0301.wav", None)),
        ("cafe\u0301.json", ("caf\u00e9.mp4",), (None, "caf\u00e9.mp4")),
        ("call-2.json", ("CALL-2.WAV",), ("CALL-2.WAV", None)),
        ("CALL-2.en.srt", ("call-2.mp4",), (None, "call-2.mp4")),
        ("Call-2.WAV.json", ("call-2.wav",), ("call-2.wav", None)),
        ("\u00c9t\u00e9/a.json", ("e\u0301te\u0301/A.ogg",), ("e\u0301te\u0301/A.ogg", None)),
        ("call-2.json", ("CALL-2.wav", "call-2.wav"), ("call-2.wav", None)),
        ("call-2.json", ("Call-2.wav", "CALL-2.mp4"), ("Call-2.wav", "CALL-2.mp4")),
        ("a.json", ("ab.wav", "a.txt", "b/a.wav"), (None, None)),
    ],
)
def test_the_same_name_with_a_known_ending(
    tmp_path: Path, name: str, media: tuple[str, ...], expected: tuple[str | None, ...]
) -> None:
    assert found(tmp_path, name, media) == expected


@pytest.mark.parametrize(
    ("name", "media"),
    [("call-2.json", ("CALL-2.wav", "Call-2.wav")), ("Caf\u00e9.srt", ("CAF\u00c9.mp4", "cafe\u0301.mp4"))],
)
def test_two_that_differ_in_case_or_accents_alone_are_both_named(
    tmp_path: Path, name: str, media: tuple[str, ...]
) -> None:
    with pytest.raises(WorkflowError, match="several recordings go with one file") as caught:
        found(tmp_path, name, media)
    assert all(one in str(caught.value) for one in (name, *media))


def test_a_media_root_of_its_own_has_the_same_folders(tmp_path: Path) -> None:
    assert found(tmp_path / "text", "d/a.srt", ("d/a.mp4",), tmp_path / "media") == (None, "d/a.mp4")


def test_beside_a_single_file_no_folder_is_searched(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.json", "a.wav", "deep/a.mp4"):
        (tmp_path / name).touch()
    assert media_names(str(tmp_path / "a.json"), None) == {"a.json", "a.wav"}


def test_on_an_object_store_as_on_disk() -> None:
    for name in ("a.json", "d/b.json", "d/b.mp4"):
        fsspec.filesystem("memory").pipe_file(f"/recordings/{name}", b"{}")
    whisperx = source("whisperx")
    files = whisperx.files("memory://recordings", None)
    assert [(file.name, file.video) for file in files] == [("a.json", None), ("d/b.json", "d/b.mp4")]
    assert whisperx.files("memory://recordings/d/b.json", None)[0].video == "b.mp4"
    assert whisperx.files("memory://recordings/d", "memory://recordings/d")[0].video == "b.mp4"
    assert next(iter(whisperx.batches(files[0], None)))["problem"][0].startswith("is not a JSON object")


def test_a_media_root_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match=r"the media root .*gone is not there"):
        media_names(str(tmp_path), str(tmp_path / "gone"))


def test_recordings_in_a_folder_that_cannot_be_listed_are_not_taken_for_none() -> None:
    with unprivileged_folder() as folder:
        (folder / "media").mkdir()
        for shut in (folder / "media", folder):
            with closed(shut), pytest.raises(WorkflowError, match="access is refused"):
                media_names(str(folder), None)
            with closed(shut), pytest.raises(WorkflowError, match="access is refused"):
                media_names(str(folder / "a.json"), str(folder / "media"))
