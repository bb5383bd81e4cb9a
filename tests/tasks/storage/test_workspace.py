import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from tasks.errors import WorkflowError
from tasks.storage.filesystem import list_files
from tasks.storage.workspace import Workspace, checked_name
from tests.fixtures.chaos.permissions import closed, unprivileged_folder


@pytest.fixture(params=["local", "memory"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """A workspace on local disk, and one on a store without folders or renames."""
    return Workspace(str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}")


def test_a_file_appears_when_it_is_whole(anywhere: Workspace) -> None:
    with anywhere.publish("a/b.txt") as local:
        local.write_text("half")
        assert not anywhere.exists("a/b.txt") and anywhere.files("a") == []
        local.write_text("whole")
    assert anywhere.read_bytes("a/b.txt") == b"whole"


def test_an_exception_publishes_nothing_and_keeps_what_was_there(anywhere: Workspace) -> None:
    anywhere.write_bytes("a/b.txt", b"before")
    with pytest.raises(RuntimeError), anywhere.publish("a/b.txt") as local:
        local.write_text("torn")
        raise RuntimeError
    assert anywhere.read_bytes("a/b.txt") == b"before" and anywhere.files("a") == ["a/b.txt"]


def test_files_are_sorted_and_below_the_folder_only(anywhere: Workspace) -> None:
    for path in ("a/2", "a/x/1", "a/1", "b/1"):
        anywhere.write_bytes(path, b"")
    assert anywhere.files("a") == ["a/1", "a/2", "a/x/1"]
    assert anywhere.files("nowhere") == []


def test_a_table_comes_back_and_its_bytes_are_always_the_same(anywhere: Workspace) -> None:
    table = pa.table({"n": list(range(1000))})
    anywhere.write_table("one.parquet", table)
    anywhere.write_table("two.parquet", table)
    assert anywhere.read_table("one.parquet").equals(table)
    assert anywhere.read_bytes("one.parquet") == anywhere.read_bytes("two.parquet")


def test_a_missing_file_is_named(anywhere: Workspace) -> None:
    with pytest.raises(WorkflowError, match=r"gone\.json is not there"):
        anywhere.read_json("gone.json")


def test_a_folder_is_removed_whole(anywhere: Workspace) -> None:
    anywhere.write_bytes("a/x/1", b"")
    anywhere.remove_folder("a")
    anywhere.remove_folder("a")
    assert anywhere.files("a") == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "a b", "x" * 101, "ä"])
def test_names_that_could_leave_their_folder_are_refused(name: str) -> None:
    with pytest.raises(WorkflowError, match="not a usable name"):
        checked_name(name, "archive")


@pytest.mark.parametrize("url", ["{folder}", "memory://sizes"])
def test_files_have_sizes_and_may_be_given_another_name(tmp_path: Path, url: str) -> None:
    workspace = Workspace(url.format(folder=tmp_path))
    workspace.write_bytes("a/x", b"123")
    workspace.write_bytes("a/b/.tmp-1", b"")
    workspace.write_bytes("a/b/y", b"")
    assert workspace.sizes("a") == {"a/b/y": 0, "a/x": 3} and workspace.sizes("none") == {}
    workspace.rename("a/x", "a/b/y")
    assert workspace.sizes("a") == {"a/b/y": 3} and workspace.read_bytes("a/b/y") == b"123"


class _Closed(MemoryFileSystem):  # type: ignore[misc]
    """A store that lists one folder at a time, and not every one."""

    find = AbstractFileSystem.find

    def ls(self, path: str, detail: bool = True, **more: Any) -> Any:
        if path.rstrip("/").endswith("hidden"):
            raise PermissionError("denied")
        return super().ls(path, detail, **more)


def test_a_folder_that_cannot_be_listed_is_an_error() -> None:
    with unprivileged_folder() as folder:
        workspace = Workspace(str(folder))
        for path in ("a/1", "a/hidden/2", "a/hidden/deeper/3"):
            workspace.write_bytes(path, b"")
        assert len(workspace.files("a")) == 3
        for shut in ("a/hidden", "a/hidden/deeper", "a"):
            with closed(folder / shut), pytest.raises(WorkflowError, match=r"access is refused"):
                workspace.files("a")
        with closed(folder / "a"), pytest.raises(WorkflowError, match=r"access is refused"):
            workspace.exists("a/hidden/2")
        with closed(folder / "a/hidden"), pytest.raises(WorkflowError, match=r"access is refused"):
            workspace.sizes("a/hidden/deeper")


def test_a_folder_that_cannot_be_written_is_named_before_there_is_something_to_write() -> None:
    with unprivileged_folder() as folder:
        workspace = Workspace(str(folder))
        workspace.check_writable("a/b")
        with closed(folder / "a"), pytest.raises(WorkflowError, match=r"a/b: access is refused"):
            workspace.check_writable("a/b")
        assert workspace.files("") == []


def test_a_listing_of_a_store_that_is_not_whole_is_an_error() -> None:
    fs = _Closed(skip_instance_cache=True)
    for path in ("/part/1", "/part/hidden/2"):
        fs.pipe_file(path, b"")
    with pytest.raises(PermissionError):
        list_files(fs, "/part")
    assert list(list_files(fs, "/part", depth=1)) == ["/part/1"] and list_files(fs, "/none") == {}


def test_links_are_followed_and_a_loop_of_them_ends(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path / "w"))
    workspace.write_bytes("a/1", b"1")
    (tmp_path / "disk" / "b").mkdir(parents=True)
    (tmp_path / "disk" / "b" / "2").write_bytes(b"22")
    (tmp_path / "w" / "a" / "linked").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "b" / "back").symlink_to(tmp_path / "w" / "a")
    (tmp_path / "w" / "a" / "nowhere").symlink_to(tmp_path / "none")
    assert workspace.sizes("a") == {"a/1": 1, "a/linked/b/2": 2, "a/nowhere": 0}
