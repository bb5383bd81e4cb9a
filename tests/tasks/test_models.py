import pytest

from sdt_model.bundle import WEIGHTS, to_files
from tasks.errors import WorkflowError
from tasks.models import PRODUCTION, find_bundle, production, promote, read_bundle, read_network, write_bundle
from tasks.workspace import Workspace
from tests.sdt_model.test_bundle import bundle


@pytest.fixture
def stored(workspace: Workspace) -> Workspace:
    write_bundle(workspace, "sdt-x", to_files(bundle(), bundle().network()))
    return workspace


def test_a_bundle_comes_back(stored: Workspace) -> None:
    assert find_bundle(stored, "sdt-x") == bundle()
    assert read_network(stored, bundle()).modalities == ("text", "audio", "visual")


def test_half_a_bundle_is_none(workspace: Workspace) -> None:
    workspace.write_bytes(f"models/sdt-x/{WEIGHTS}", b"")
    assert read_bundle(workspace, "sdt-x") is None


def test_production_is_the_promoted_one(stored: Workspace) -> None:
    assert production(stored) is None
    promote(stored, "sdt-x")
    assert production(stored) == "sdt-x" and find_bundle(stored, "production") == bundle()
    assert stored.exists(PRODUCTION)


def test_an_unknown_model_names_those_that_are_there(stored: Workspace) -> None:
    with pytest.raises(WorkflowError, match=r"(?s)model 'other' is not in .*there: sdt-x"):
        find_bundle(stored, "other")
    with pytest.raises(WorkflowError, match="model 'production' is not in"):
        find_bundle(stored, "production")
