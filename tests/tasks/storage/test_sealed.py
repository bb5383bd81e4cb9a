"""Small JSON files that say of themselves whether they are what was written."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from tasks.errors import DamagedFile
from tasks.storage.sealed import read_sealed, write_sealed
from tasks.storage.workspace import Workspace


class Note(BaseModel):
    name: str
    count: int
    shares: dict[str, float]


NOTE = Note(name="é", count=540, shares={"b": 0.1, "a": 1e-9})


def test_it_comes_back_and_one_without_a_digest_counts(workspace: Workspace) -> None:
    assert read_sealed(workspace, "x.json", Note) is None
    write_sealed(workspace, "x.json", NOTE.model_dump())
    assert read_sealed(workspace, "x.json", Note) == NOTE
    workspace.write_json("x.json", NOTE.model_dump())
    assert read_sealed(workspace, "x.json", Note) == NOTE


@settings(max_examples=60)
@given(st.data())
def test_a_flipped_bit_never_changes_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    workspace = Workspace(str(tmp_path_factory.mktemp("sealed")))
    write_sealed(workspace, "x.json", NOTE.model_dump())
    path = Path(workspace.path("x.json"))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        assert read_sealed(workspace, "x.json", Note) == NOTE  # of white space, or of the digest's own name
    except DamagedFile as error:
        assert str(error).startswith(f"{path}: damaged: ") and error.path == "x.json"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"name": "a"}', b"\xff\xfe"])
def test_what_is_no_such_object_is_damaged(workspace: Workspace, content: bytes) -> None:
    workspace.write_bytes("x.json", content)
    with pytest.raises(DamagedFile, match=r"x\.json: damaged"):
        read_sealed(workspace, "x.json", Note)
