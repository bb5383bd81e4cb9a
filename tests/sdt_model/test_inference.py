import pytest
import torch

from sdt_model.batch import Batch, pack
from sdt_model.config import MODALITIES, Modality, ModelConfig
from sdt_model.inference import InferenceSDT
from sdt_model.model import SDT
from tests.fixtures import conversations as made
from tests.fixtures import published
from tests.fixtures.networks import scores
from tests.fixtures.published import expected, packed


def both(network: SDT, batch: Batch) -> InferenceSDT:
    """Fold the network, and hold the scores against its own."""
    for name, parameter in network.named_parameters():  # else a norm's scale and shift would change nothing
        if name.startswith("transformers.norm_"):
            torch.nn.init.uniform_(parameter, 0.5, 2.0)
    folded = InferenceSDT(network)
    found = folded(batch)
    with torch.inference_mode():
        plain = network.eval()(batch)
    for name in ("students", "teacher", "weights"):
        torch.testing.assert_close(getattr(found, name), getattr(plain, name), atol=2e-6, rtol=0)
    return folded


@pytest.mark.parametrize("present", [1.0, 0.6])
@pytest.mark.parametrize("kept", [MODALITIES, ("text", "visual"), ("audio",)], ids="+".join)
def test_it_scores_as_the_network_does(kept: tuple[Modality, ...], present: float) -> None:
    torch.manual_seed(0)
    dims = {name: made.DIMS[name] for name in kept}
    data = made.conversations([5, 1, 70, 130], dims=dims, present=present)
    network = SDT(ModelConfig(hidden=64, heads=4, speakers=4, dropout=0.5), dims, 3)
    for name in kept:
        network.get_buffer(f"mean_{name}").normal_()
        network.get_buffer(f"scale_{name}").uniform_(0.5, 2.0)
    assert all(both(network, pack(data, range(4))).folded)


@pytest.mark.parametrize("part", ["all", "intra", "inter"])
def test_so_does_one_whose_parts_are_left_out(part: str) -> None:
    network = SDT(ModelConfig(hidden=64, heads=4, transformers=part), made.DIMS, 3)
    both(network, pack(made.conversations([5, 3]), range(2)))


@pytest.mark.parametrize("gates", ["learned", "identity", "none"])
def test_so_does_one_with_other_gates(gates: str) -> None:
    network = SDT(ModelConfig(hidden=64, heads=4, unimodal_gates=gates), made.DIMS, 3)
    both(network, pack(made.conversations([5, 3]), range(2)))


def test_features_as_wide_as_the_network_are_left_alone() -> None:
    folded = both(published.model(), packed()[1])
    assert folded.folded == (False, True, True)


def test_it_has_the_published_scores() -> None:
    found = InferenceSDT(published.model())(packed()[1])
    for name, logits in zip((*MODALITIES, "fused"), (*found.students, found.teacher), strict=True):
        torch.testing.assert_close(logits.log_softmax(-1), expected(f"output.log_prob.{name}"), atol=1e-5, rtol=0)


def test_scores_do_not_depend_on_what_was_scored_before() -> None:
    network = SDT(ModelConfig(hidden=64, heads=4), made.DIMS, 3)
    data = made.conversations([5, 200])
    short, long = pack(data, [0]), pack(data, [1])
    fresh, used = InferenceSDT(network), InferenceSDT(network)
    used(short)
    assert torch.equal(fresh(long).teacher, used(long).teacher)
    assert torch.equal(InferenceSDT(network)(short).teacher, used(short).teacher)


def test_scores_do_not_depend_on_neighbours_in_the_batch() -> None:
    folded = InferenceSDT(SDT(ModelConfig(hidden=64, heads=4), made.DIMS, 3))
    data = made.conversations([5, 1, 5, 9, 12], present=0.7)
    together = scores(folded, data, [0, 1, 2, 3, 4]).teacher
    for i in range(5):
        alone = scores(folded, data, [i]).teacher
        torch.testing.assert_close(alone, together[data.offset[i] : data.offset[i + 1]], atol=1e-5, rtol=0)
