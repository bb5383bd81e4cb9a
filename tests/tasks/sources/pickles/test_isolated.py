"""Files whose reading takes for ever or all memory, with nothing in them that is not allowed."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile
from tasks.sources.pickles import isolated
from tasks.sources.pickles.isolated import read_published
from tasks.storage.workspace import Workspace
from tests.fixtures.sources.pickles import DIMS, fields, write

pytestmark = pytest.mark.process


def source(path: Path, content: bytes | None = None) -> SourceFile:
    if content is not None:
        path.write_bytes(content)
    return SourceFile(str(path), path.name, path.stat().st_size)


def nested(depth: int, within: bytes) -> bytes:
    """Tuples of the same tuple twice, in memory one a step, and 2 ** depth for who looks into them all."""
    steps = b"".join(b"q%c" % 0 + b"0h\x00h\x00\x86" for _ in range(depth))
    return b"\x80\x02" + within % (b")" + steps)


HANGS = {
    "a key": nested(40, b"}%sK\x01s."),
    "a member of a set": nested(40, b"c__builtin__\nset\n](%se\x85R."),
    "a key of a key": nested(40, b"}}%sK\x01sX\x01\x00\x00\x00ss."),
}


@pytest.mark.parametrize("content", HANGS.values(), ids=HANGS)
def test_what_takes_for_ever_ends_in_time(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "SECONDS", 4)
    with pytest.raises(WorkflowError, match=r"x\.pkl: refused, reading it takes more than 4 s of processor time"):
        read_published(source(tmp_path / "x.pkl", content))


COPIES = {
    "sets": b"c__builtin__\nfrozenset\nq\x01",
    "bytes": b"c_codecs\nencode\nq\x01",
}


@pytest.mark.parametrize("of", COPIES)
def test_what_takes_all_memory_is_refused(tmp_path: Path, of: str) -> None:
    """A part that stands there once, and is copied in thousands of places."""
    numbers = b"](" + b"".join(b"K%c" % (n % 256) + b"K%c\x86" % (n // 256) for n in range(8000)) + b"eq\x02"
    text = b"X" + (30_000).to_bytes(4, "little") + b"x" * 30_000 + b"q\x02X\x06\x00\x00\x00latin1q\x03"
    part, call = (numbers, b"h\x01h\x02\x85R") if of == "sets" else (text, b"h\x01h\x02h\x03\x86R")
    copies = 4000 if of == "sets" else 30_000
    content = (
        b"\x80\x02" + COPIES[of] + b"0" + part + (b"00" if of == "bytes" else b"0") + b"](" + call * copies + b"e."
    )
    assert len(content) < 400_000
    with pytest.raises(WorkflowError, match=r"x\.pkl: refused, it takes more than 2\d\d MB of memory"):
        read_published(source(tmp_path / "x.pkl", content))


def test_a_file_on_another_store_is_read_as_well(tmp_path: Path) -> None:
    content = write(tmp_path / "features.pkl", "COSMIC on IEMOCAP").read_bytes()
    Workspace("memory://pickles").write_bytes("features.pkl", content)
    found = read_published(SourceFile("memory://pickles/features.pkl", "features.pkl", len(content)))
    assert found.layout == "COSMIC on IEMOCAP" and found.dims == {"text": DIMS["text"]}


def test_it_says_what_the_file_says(tmp_path: Path) -> None:
    found = read_published(source(write(tmp_path / "x.pkl", "MMGCN on MELD")))
    expected = fields("MMGCN on MELD")
    assert [each.id for each in found.conversations] == [str(key) for key in expected["labels"]]
    for key, vectors in expected["audio"].items():
        np.testing.assert_array_equal(found.vectors(str(key))["audio"], np.stack(vectors))
    assert found.conversations[0].texts == expected["sentences"][0]


def test_a_broken_one_is_named(tmp_path: Path) -> None:
    whole = pickle.dumps({"a": 1})
    for content in (whole[:-1], b"", whole + b"x" * 10):
        with pytest.raises(WorkflowError, match=r"x\.pkl: "):
            read_published(source(tmp_path / "x.pkl", content))
