"""The files of a source: which ones belong to it, their order, and what is said where there is none."""

import os
from pathlib import Path

import fsspec
import pytest

from tasks.errors import WorkflowError
from tasks.sources.base import find_files, is_unicode
from tests.fixtures.chaos.permissions import closed, unprivileged_folder

ENDINGS = (".csv", ".jsonl")


def names(path: Path | str) -> list[str]:
    return [file.name for file in find_files(str(path), ENDINGS, "a table")]


def test_files_of_a_folder_come_in_the_order_of_names_with_their_sizes(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/x.CSV", "a.jsonl", "c.csv", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    files = find_files(str(tmp_path), ENDINGS, "a table")
    assert [(file.name, file.size) for file in files] == [("a.jsonl", 7), ("b/x.CSV", 7), ("c.csv", 5)]
    assert names(tmp_path / "c.csv") == ["c.csv"]


def test_an_object_store_has_the_same_names() -> None:
    fsspec.filesystem("memory").pipe_file("/source-base/d/x.csv", b"content")
    [file] = find_files("memory://source-base", ENDINGS, "a table")
    fs, path = file.filesystem
    assert file.name == "d/x.csv" and fs.cat_file(path) == b"content"


def test_hidden_files_of_a_folder_are_passed_over_and_one_that_is_named_is_not(tmp_path: Path) -> None:
    for name in ("x.csv", "._x.csv"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7 Mac OS X")
    assert names(tmp_path) == ["x.csv"] and names(tmp_path / "._x.csv") == ["._x.csv"]


def test_a_file_name_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv"))).touch()
    with pytest.raises(WorkflowError, match=r"udcff\.csv' is a file name that is not UTF-8"):
        names(tmp_path)


def test_nothing_there_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match=r"gone is not there\n  expected: a table"):
        names(tmp_path / "gone")
    with pytest.raises(WorkflowError, match=r"holds no such file\n  expected: a table"):
        names(tmp_path)


@pytest.mark.parametrize(("text", "expected"), [("Grüße 🙂", True), ("", True), ("\ud83d", False), ("\udcff", False)])
def test_half_a_surrogate_pair_is_not_unicode(text: str, expected: bool) -> None:
    assert is_unicode(text) is expected


def test_a_folder_that_cannot_be_listed_leaves_nothing_out_in_silence() -> None:
    with unprivileged_folder() as folder:
        (folder / "b").mkdir()
        for name in ("a.csv", "b/c.csv"):
            (folder / name).touch()
        for shut in (folder / "b", folder):
            with closed(shut), pytest.raises(WorkflowError, match="access is refused"):
                names(folder)
        assert names(folder) == ["a.csv", "b/c.csv"]
