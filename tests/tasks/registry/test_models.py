import pytest

from sdt_model.bundle import WEIGHTS
from sdt_model.weights import new_network, to_files
from tasks.archive.layout import PRODUCTION
from tasks.errors import WorkflowError
from tasks.registry.models import (
    bundles,
    extractor_names,
    find_bundle,
    production,
    promote,
    read_bundle,
    read_network,
    read_production,
    rollback,
    write_bundle,
)
from tasks.storage.workspace import Workspace
from tests.fixtures.models import bundle


@pytest.fixture
def stored(workspace: Workspace) -> Workspace:
    write_bundle(workspace, "sdt-x", to_files(bundle(), new_network(bundle())))
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


def test_a_rollback_goes_back_one_model_at_a_time(stored: Workspace) -> None:
    for name in ("sdt-y", "sdt-z"):
        write_bundle(stored, name, to_files(bundle().model_copy(update={"model_id": name}), new_network(bundle())))
    for name in ("sdt-x", "sdt-y", "sdt-y", "sdt-z"):
        promote(stored, name, f"because of {name}")
    found = read_production(stored)
    assert found is not None and found.why == "because of sdt-z" and found.since is not None
    assert [term.model_id for term in found.before] == ["sdt-y", "sdt-x"]
    assert rollback(stored).why == "rolled back from sdt-z" and production(stored) == "sdt-y"
    assert rollback(stored).model_id == "sdt-x"
    back = read_production(stored)
    assert back is not None and back.withdrawn == ("sdt-y", "sdt-z")
    assert promote(stored, "sdt-z").withdrawn == ("sdt-y",)
    rollback(stored)
    with pytest.raises(WorkflowError, match="names no earlier model to go back to"):
        rollback(stored)
    assert production(stored) == "sdt-x"


def test_only_a_model_that_is_there_goes_into_production(stored: Workspace) -> None:
    with pytest.raises(WorkflowError, match="model 'sdt-gone' is not in"):
        promote(stored, "sdt-gone")
    assert production(stored) is None


def test_every_whole_bundle_is_listed(stored: Workspace) -> None:
    stored.write_bytes("models/half/model.safetensors", b"")
    stored.write_bytes("models/.runs/sdt-y/bundle.json", b"")
    assert list(bundles(stored)) == [bundle()]


def test_an_unknown_model_names_those_that_are_there(stored: Workspace) -> None:
    with pytest.raises(WorkflowError, match=r"(?s)model 'other' is not in .*there: sdt-x"):
        find_bundle(stored, "other")
    with pytest.raises(WorkflowError, match="model 'production' is not in"):
        find_bundle(stored, "production")


def test_the_extractors_that_a_model_needs() -> None:
    names = extractor_names(bundle())
    assert {modality: names.named(modality) for modality in bundle().features} == {
        modality: made.extractor for modality, made in bundle().features.items()
    }
    assert names.storage == "float32"
    text = bundle().features["text"].model_copy(update={"storage": "float16"})
    halved = bundle().model_copy(update={"features": bundle().features | {"text": text}})
    assert extractor_names(halved).storage == "float16"
