"""What a fine-tuning run is told before it starts."""

from pathlib import Path

import pytest

from tasks.archive.manifests import read_archive
from tasks.config.stages import Resources
from tasks.config.training import FinetuneConfig
from tasks.errors import WorkflowError
from tasks.finetuning.plan import check_length, encoder_name, placed
from tasks.registry.encoders import base_files
from tasks.storage.workspace import Workspace
from tests.fixtures.encoders.finetuned import spoken_archive, tiny_encoder


@pytest.mark.usefixtures("ray_session")
def test_as_many_encoders_at_once_as_there_are_cores(tmp_path: Path) -> None:
    """The session's Ray has two."""
    base = tiny_encoder(tmp_path / "tiny")
    settings = FinetuneConfig(archive="spoken", folds=5)
    assert placed(settings, base).at_once == 2
    assert placed(settings, base).resources == Resources(cpus=1)
    assert placed(settings.model_copy(update={"folds": 1}), base).resources == Resources(cpus=2)
    assert placed(settings.model_copy(update={"workers": 2}), base).at_once == 1
    assert placed(settings.model_copy(update={"resources": Resources(cpus=2)}), base).at_once == 1
    assert placed(settings.model_copy(update={"resources": Resources(memory_gb=1e6)}), base).at_once == 1
    more = placed(settings.model_copy(update={"at_once": 3}), base)
    assert more.at_once == 3 and more.resources == Resources(cpus=1)


def test_more_tokens_than_the_encoder_has_positions_are_refused(tmp_path: Path) -> None:
    tiny = tiny_encoder(tmp_path / "tiny")
    check_length(tiny, FinetuneConfig(archive="spoken", encoder=str(tiny), max_tokens=64))
    with pytest.raises(WorkflowError, match=r"max_tokens is 65, and encoder .*tiny' has 64 positions"):
        check_length(tiny, FinetuneConfig(archive="spoken", encoder=str(tiny), max_tokens=65))


def test_the_name_depends_on_what_is_made_and_not_on_where(workspace: Workspace, tmp_path: Path) -> None:
    spoken_archive(workspace, conversations=5)
    archive, files = read_archive(workspace, "spoken"), base_files(tiny_encoder(tmp_path / "tiny"))

    def named(**settings: object) -> str:
        return encoder_name(FinetuneConfig.model_validate({"archive": "spoken"} | settings), archive, files)

    assert named(workspace="elsewhere", retries=7, lease_s=9, at_once=2, resources={"cpus": 3}) == named()
    different = [{}, {"seed": 1}, {"epochs": 5}, {"folds": 2}, {"teacher": "a"}, {"teacher": "a", "distil": 0.1}]
    assert len({named(**settings) for settings in different}) == len(different)
    assert named(distil=0.1) == named(), "of no use without a teacher"
