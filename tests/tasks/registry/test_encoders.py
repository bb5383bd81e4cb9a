"""Encoders: what to start from, folders in any workspace, and who reads what."""

from pathlib import Path

import pytest

from tasks.errors import WorkflowError
from tasks.registry.encoders import base_files, base_folder, fold_of, local_folder, put_folder
from tasks.storage.workspace import Workspace
from tests.fixtures.encoders.finetuned import tiny_encoder


@pytest.mark.long
@pytest.mark.parametrize("url", ["local", "memory://encoders-test"])
def test_a_folder_comes_back_from_any_workspace(url: str, tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path / "workspace") if url == "local" else url)
    tiny = tiny_encoder(tmp_path / "tiny")
    files = base_files(tiny)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(files)
    put_folder(workspace, "encoders/e", tiny, list(files))
    with local_folder(workspace, "encoders/e") as folder:
        assert base_files(folder) == files


def test_files_are_known_by_their_content(tmp_path: Path) -> None:
    tiny = tiny_encoder(tmp_path / "tiny")
    before = base_files(tiny)
    (tiny / "README.md").write_text("does not matter")
    assert base_files(tiny) == before
    (tiny / "config.json").write_text("{}")
    assert base_files(tiny) != before


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    tiny = tiny_encoder(tmp_path / "tiny")
    (tiny / "model.safetensors").rename(tiny / "pytorch_model.bin")
    with pytest.raises(WorkflowError, match="with safetensors beside it"):
        base_folder(str(tiny))


def test_what_is_neither_a_folder_nor_a_hub_id_is_refused() -> None:
    with pytest.raises(WorkflowError, match="neither minilm, nor a folder, nor a hub id"):
        base_folder("no/such folder")


def test_folds_share_out_the_conversations_evenly_and_for_ever() -> None:
    folds = [fold_of(f"c{number}", 4) for number in range(4000)]
    assert all(900 < folds.count(fold) < 1100 for fold in range(4))
    assert folds[:6] == [3, 3, 1, 2, 2, 2]
