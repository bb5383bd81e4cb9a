"""Hashes beside a model's files."""

import shutil
import subprocess

import pytest

from tasks.errors import DamagedFile
from tasks.registry.sums import SUMS, described_hashes, read_checked, read_sums, sums_of, wrong_files
from tasks.storage.workspace import Workspace

FILES = {"a.bin": b"\x00\x01", "b.json": b'{"x": 1, "y": [2.5]}'}


@pytest.fixture
def written(workspace: Workspace) -> Workspace:
    for name, content in (*FILES.items(), (SUMS, sums_of(FILES))):
        workspace.write_bytes(f"m/{name}", content)
    return workspace


def test_what_is_as_it_was_has_no_faults_whatever_the_order_of_keys(written: Workspace) -> None:
    sums = read_sums(written, "m", {})
    assert set(sums) == set(FILES) and wrong_files(written, "m", sums) == {}
    written.write_bytes("m/b.json", b'{"y": [2.5],  "x": 1}')
    assert wrong_files(written, "m", sums) == {} and read_checked(written, "m", "a.bin", sums) == FILES["a.bin"]


def test_what_is_changed_or_gone_is_named(written: Workspace) -> None:
    sums = read_sums(written, "m", {})
    written.write_bytes("m/a.bin", b"\x00\x03")
    written.remove("m/b.json")
    assert wrong_files(written, "m", sums) == {
        "m/a.bin": f"its sha256 is not that in {SUMS}",
        "m/b.json": "it is not there",
    }
    with pytest.raises(DamagedFile, match=r"a\.bin: damaged"):
        read_checked(written, "m", "a.bin", sums)


def test_without_hashes_files_count_as_they_are(workspace: Workspace) -> None:
    workspace.write_bytes("m/a.bin", b"old")
    assert read_sums(workspace, "m", {}) == {} and read_checked(workspace, "m", "a.bin", {}) == b"old"


@pytest.mark.parametrize("content", [b"", b"abc\n", b"\xff"])
def test_hashes_that_cannot_be_read_are_damaged(written: Workspace, content: bytes) -> None:
    written.write_bytes(f"m/{SUMS}", content)
    with pytest.raises(DamagedFile, match=SUMS):
        read_sums(written, "m", {})


def test_hashes_that_the_description_says_are_missed(written: Workspace) -> None:
    described = described_hashes(b'{"hashes": {"a.bin": "' + read_sums(written, "m", {})["a.bin"].encode() + b'"}}')
    assert set(read_sums(written, "m", described)) == set(FILES)
    whole = written.read_bytes(f"m/{SUMS}")
    for content in (sums_of({"b.json": FILES["b.json"]}), sums_of(FILES | {"a.bin": b"x"})):
        written.write_bytes(f"m/{SUMS}", content)
        with pytest.raises(DamagedFile, match=f"{SUMS}: damaged: it and the description say different hashes"):
            read_sums(written, "m", described)
    written.write_bytes(f"m/{SUMS}", whole)
    written.remove(f"m/{SUMS}")
    with pytest.raises(DamagedFile, match=f"{SUMS}: damaged: it is not there, and the description says"):
        read_sums(written, "m", described)


@pytest.mark.parametrize("description", [b"", b"{", b"[]", b'{"hashes": 1}', b"{}", b"\xff"])
def test_a_description_of_an_earlier_version_says_no_hashes(description: bytes) -> None:
    assert described_hashes(description) == {}


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_sha256sum_reads_them(written: Workspace) -> None:
    done = subprocess.run(["sha256sum", "-c", SUMS], cwd=written.path("m"), capture_output=True, text=True)
    assert done.returncode == 0 and "a.bin: OK" in done.stdout
