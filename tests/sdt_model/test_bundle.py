import hashlib

import torch

from sdt_model.batch import pack
from sdt_model.bundle import CARD, DESCRIPTION, WEIGHTS, Bundle, FeatureSource
from sdt_model.weights import load_network, new_network, to_files
from tests.fixtures import conversations as made
from tests.fixtures.models import bundle


def test_a_bundle_comes_back_with_its_statistics_and_scores() -> None:
    described = bundle()
    network = new_network(described).eval()
    network.set_statistics(
        {name: torch.randn(dim) for name, dim in made.DIMS.items()},
        {name: torch.rand(dim) + 0.5 for name, dim in made.DIMS.items()},
    )
    files = to_files(described, network)
    again = Bundle.model_validate_json(files[DESCRIPTION])
    assert again.hashes == {WEIGHTS: hashlib.sha256(files[WEIGHTS]).hexdigest()}
    assert again.model_copy(update={"hashes": {}}) == described
    batch = pack(made.conversations([4, 3]), [0, 1])
    torch.testing.assert_close(load_network(again, files[WEIGHTS])(batch).teacher, network(batch).teacher)


def test_the_description_comes_last() -> None:
    assert list(to_files(bundle(), new_network(bundle())))[-1] == DESCRIPTION


def test_a_source_says_how_to_make_its_features() -> None:
    full = FeatureSource(extractor="minilm", fingerprint="f" * 16, dim=384)
    assert full.assignment("text") == "--set extractors.text=minilm"
    half = full.model_copy(update={"storage": "float16"})
    assert half.assignment("text") == "--set extractors.text=minilm --set extractors.storage=float16"


def test_a_bundle_from_before_calibration_still_loads() -> None:
    older = bundle().model_dump(exclude={"calibration_temperature"})
    assert Bundle.model_validate(older).calibration_temperature == 1.0


def test_the_card_says_how_scores_were_selected() -> None:
    described = bundle().model_copy(update={"calibration_temperature": 1.25})
    card = to_files(described, new_network(bundle()))[CARD].decode()
    assert "divided by 1.2500, fitted on dev" in card
    assert "selected on the dev split" in card and "| paper_protocol_test_weighted_f1 | 0.6000 |" in card
