from pathlib import Path

import pytest

from sdt_model.bundle import WEIGHTS, Bundle
from sdt_model.weights import new_network, to_files
from tasks.archive.layout import PRODUCTION
from tasks.errors import WorkflowError
from tasks.registry.models import (
    bundles,
    check_encoders,
    extractor_names,
    find_bundle,
    intact_bundle,
    production,
    promote,
    read_bundle,
    read_network,
    read_production,
    rollback,
    write_bundle,
)
from tasks.registry.sums import SUMS
from tasks.storage.workspace import Workspace
from tests.fixtures.models import bundle


@pytest.fixture
def stored(workspace: Workspace) -> Workspace:
    write_bundle(workspace, "sdt-x", to_files(bundle(), new_network(bundle())))
    return workspace


def unhashed(described: Bundle) -> Bundle:
    return described.model_copy(update={"hashes": {}})


@pytest.mark.long
def test_a_bundle_comes_back(stored: Workspace) -> None:
    assert unhashed(find_bundle(stored, "sdt-x")) == bundle()
    assert read_network(stored, bundle()).modalities == ("text", "audio", "visual")


def test_half_a_bundle_is_none(workspace: Workspace) -> None:
    workspace.write_bytes(f"models/sdt-x/{WEIGHTS}", b"")
    assert read_bundle(workspace, "sdt-x") is None


def test_production_is_the_promoted_one(stored: Workspace) -> None:
    assert production(stored) is None
    promote(stored, "sdt-x")
    assert production(stored) == "sdt-x" and unhashed(find_bundle(stored, "production")) == bundle()
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
    assert list(map(unhashed, bundles(stored))) == [bundle()]


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


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model_id": "../../elsewhere"}, "model_id: String should match"),
        ({"model_id": "sdt-y"}, "describes a model called sdt-y"),
        ({"emotions": ["joy", "joy"]}, "emotions: .*a name of its own"),
        ({"emotions": ["joy", ""]}, "emotions: .*a name of its own"),
        ({"calibration_temperature": "NaN"}, "calibration_temperature: "),
        ({"calibration_temperature": "Infinity"}, "calibration_temperature: "),
        ({"student_temperatures": {"text": 0}}, "student_temperatures.text: "),
        ({"features": {"text": {"extractor": "x", "fingerprint": "../..", "dim": 3}}}, "features.text.fingerprint: "),
        ({"features": {"text": {"extractor": "x", "fingerprint": "f", "dim": 10**12}}}, "features.text.dim: "),
        ({"training": {"model": {"hidden": 10**9}}}, "training.model.hidden: "),
        ({"run": "rm"}, "run: Extra inputs"),
    ],
)
def test_a_description_from_elsewhere_leads_nowhere_else(
    stored: Workspace, changed: dict[str, object], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    stored.write_json("models/sdt-x/bundle.json", stored.read_json("models/sdt-x/bundle.json") | changed)
    with pytest.raises(WorkflowError, match=rf"models/sdt-x/bundle.json: .*{message}"):
        find_bundle(stored, "sdt-x")
    assert list(bundles(stored)) == [] and "bundle.json" in caplog.text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\x00" * 100, b"null"])
def test_a_damaged_description_is_named(stored: Workspace, content: bytes) -> None:
    stored.write_bytes("models/sdt-x/bundle.json", content)
    with pytest.raises(WorkflowError, match=r"(?s)bundle.json: damaged, or no model's description.*train it again"):
        read_bundle(stored, "sdt-x")


@pytest.mark.long
@pytest.mark.parametrize(
    ("field", "value"), [("hidden", 2**16), ("speakers", 2**20), ("hidden", 32), ("unimodal_gates", "none")]
)
def test_a_network_that_its_weights_are_not_of_takes_no_memory(stored: Workspace, field: str, value: object) -> None:
    """The first would have 9 * 9 * 2 ** 32 weights."""
    described = bundle()
    model = described.training.model.model_copy(update={field: value})
    other = described.model_copy(update={"training": described.training.model_copy(update={"model": model})})
    with pytest.raises(WorkflowError, match="not the weights that are described: "):
        read_network(stored, other)


def test_weights_that_are_none_are_named(stored: Workspace) -> None:
    stored.write_bytes(f"models/sdt-x/{WEIGHTS}", b"\x00" * 64)
    with pytest.raises(WorkflowError, match=rf"(?s){WEIGHTS}: .*train it again"):
        read_network(stored, bundle())


def test_a_model_has_no_say_in_what_is_fetched(tmp_path: Path) -> None:
    def named(extractor: str) -> Bundle:
        text = bundle().features["text"].model_copy(update={"extractor": extractor})
        return bundle().model_copy(update={"features": {"text": text}})

    for local in ("minilm", "hf:minilm", f"hf:{tmp_path}", f"hf:{tmp_path}?layers=2", "given"):
        check_encoders(named(local))
    for foreign in ("hf:someone/encoder", "hf:someone/encoder?layers=2", "hf:encoder", "hf:../x"):
        with pytest.raises(WorkflowError, match=r"not on this machine\n.*fetch_encoders=true"):
            check_encoders(named(foreign))


def flip(workspace: Workspace, path: str) -> None:
    content = bytearray(workspace.read_bytes(path))
    content[len(content) // 2] ^= 1
    workspace.write_bytes(path, bytes(content))


def test_a_decision_about_another_model_than_is_there_by_now_changes_nothing(stored: Workspace) -> None:
    write_bundle(stored, "sdt-y", to_files(bundle().model_copy(update={"model_id": "sdt-y"}), new_network(bundle())))
    promote(stored, "sdt-x", instead_of=None)
    read = read_production(stored)
    promote(stored, "sdt-y", "by somebody else", instead_of=read)
    for expected in (read, None):
        with pytest.raises(WorkflowError, match=r"was changed since it was read: sdt-y is in production now\n"):
            promote(stored, "sdt-x", instead_of=expected)
    assert production(stored) == "sdt-y" and stored.files("leases") == []


def test_weights_with_a_flipped_bit_are_not_used(stored: Workspace) -> None:
    flip(stored, f"models/sdt-x/{WEIGHTS}")
    with pytest.raises(WorkflowError, match=r"model\.safetensors: damaged: .*\n  make it anew with: sdt train"):
        read_network(stored, bundle())
    assert intact_bundle(stored, "sdt-x") is None and unhashed(find_bundle(stored, "sdt-x")) == bundle()


def test_weights_are_not_used_without_the_hashes_that_were_written_with_them(stored: Workspace) -> None:
    described = find_bundle(stored, "sdt-x")
    stored.remove(f"models/sdt-x/{SUMS}")
    flip(stored, f"models/sdt-x/{WEIGHTS}")
    for ask in (lambda: read_network(stored, described), lambda: find_bundle(stored, "sdt-x")):
        with pytest.raises(
            WorkflowError, match=rf"{SUMS}: damaged: it is not there, .*\n  make it anew with: sdt train"
        ):
            ask()
    assert intact_bundle(stored, "sdt-x") is None
    content = {name: value for name, value in stored.read_json("models/sdt-x/bundle.json").items() if name != "hashes"}
    stored.write_json("models/sdt-x/bundle.json", content)  # as an earlier version wrote it
    assert find_bundle(stored, "sdt-x") == intact_bundle(stored, "sdt-x") == bundle()


def test_a_description_with_another_value_than_was_written_is_named(stored: Workspace) -> None:
    path = "models/sdt-x/bundle.json"
    stored.write_json(path, stored.read_json(path) | {"emotions": ["joy", "anger", "neutral"]})
    with pytest.raises(WorkflowError, match=r"bundle\.json: damaged: .*\n  make it anew with: sdt train"):
        find_bundle(stored, "sdt-x")
    assert intact_bundle(stored, "sdt-x") is None
    stored.write_bytes(path, b"{")
    assert intact_bundle(stored, "sdt-x") is None


def test_a_pointer_that_is_damaged_is_written_anew_by_promote(stored: Workspace) -> None:
    promote(stored, "sdt-x")
    stored.write_bytes(PRODUCTION, stored.read_bytes(PRODUCTION).replace(b"sdt-x", b"sdt-z"))
    for ask in (production, rollback):
        with pytest.raises(WorkflowError, match=r"production\.json: damaged: .*\n.* with: sdt promote ID"):
            ask(stored)
    assert promote(stored, "sdt-x").model_id == "sdt-x" == production(stored)
