from itertools import chain, combinations

import numpy as np
import pytest
import torch

from sdt_model.batch import pack
from sdt_model.config import MODALITIES, ModelConfig
from sdt_model.conversations import Conversations
from sdt_model.model import SDT
from tests.fixtures import conversations as made
from tests.fixtures.networks import network, scores

SUBSETS = list(chain.from_iterable(combinations(MODALITIES, n) for n in (1, 2, 3)))


def without(data: Conversations, modalities: set[str], rows: slice = slice(None)) -> Conversations:
    """The same conversations with some modalities taken away from some rows."""
    present = data.present.copy()
    for m, name in enumerate(data.features):
        if name in modalities:
            present[m, rows] = False
    features = {name: values * present[m][:, None] for m, (name, values) in enumerate(data.features.items())}
    return Conversations(features, present, data.speaker, data.label, data.offset)


def test_scores_do_not_depend_on_neighbours_in_the_batch() -> None:
    model, data = network(), made.conversations([5, 1, 5, 9, 12], present=0.7)
    together = scores(model, data, [0, 1, 2, 3, 4]).teacher
    for i in range(5):
        alone = scores(model, data, [i]).teacher
        torch.testing.assert_close(alone, together[data.offset[i] : data.offset[i + 1]], atol=1e-5, rtol=0)


def test_an_absent_modality_cannot_be_seen_whatever_its_values() -> None:
    model, data = network(), made.conversations([6, 4], present=0.6)
    garbage = {
        name: np.where(data.present[m][:, None], values, np.float32(1e3))
        for m, (name, values) in enumerate(data.features.items())
    }
    spoiled = Conversations(garbage, data.present, data.speaker, data.label, data.offset)
    torch.testing.assert_close(scores(model, data, [0, 1]).teacher, scores(model, spoiled, [0, 1]).teacher)


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_every_subset_of_modalities_gives_finite_scores_and_weights_that_sum_to_one(subset: tuple[str, ...]) -> None:
    data = without(made.conversations([5, 1, 3]), set(MODALITIES) - set(subset))
    output = scores(network(), data, [0, 1, 2])
    assert output.teacher.isfinite().all()
    torch.testing.assert_close(output.weights.sum(dim=0), torch.ones(9))
    absent = [m for m, name in enumerate(MODALITIES) if name not in subset]
    assert (output.weights[absent] == 0).all()


def test_where_one_of_several_modalities_is_there_its_student_speaks() -> None:
    model, data = network(), made.conversations([7, 3], present=0.4)
    found = scores(model, data, [0, 1])
    count = data.present.sum(axis=0)
    assert {0, 1, 2} <= set(count.tolist())
    for row, amount in enumerate(count):
        students = [found.students[m, row] for m in np.flatnonzero(data.present[:, row])]
        spoke = [torch.equal(found.teacher[row], student) for student in students]
        assert spoke == [amount == 1] * len(students)
    learning = scores(model.train(), data, [0, 1])
    alone = torch.from_numpy(count == 1)
    own = (learning.students * torch.from_numpy(data.present).unsqueeze(-1)).sum(dim=0)
    assert not torch.isclose(learning.teacher[alone], own[alone]).any(), "the fused head learns from them too"


def test_nothing_present_is_finite_and_neighbours_keep_their_context() -> None:
    model, data = network(), without(made.conversations([6]), set(MODALITIES), slice(2, 3))
    output = scores(model, data, [0])
    assert output.teacher.isfinite().all()
    changed = scores(model, without(data, {"text"}, slice(0, 1)), [0])
    assert (output.teacher[[1, 3, 5]] - changed.teacher[[1, 3, 5]]).abs().amax(dim=-1).min() > 1e-4


def test_context_reaches_other_turns() -> None:
    model, data = network(), made.conversations([6])
    changed = without(data, {"text"}, slice(0, 1))
    assert (scores(model, data, [0]).teacher[5] - scores(model, changed, [0]).teacher[5]).abs().max() > 1e-4


@pytest.mark.parametrize("speakers", [1, 9, 60])
def test_any_number_of_speakers(speakers: int) -> None:
    data = made.conversations([70])
    many = Conversations(data.features, data.present, np.arange(70) % speakers, data.label, data.offset)
    assert scores(network(), many, [0]).teacher.isfinite().all()


def test_an_unknown_speaker_has_the_zero_embedding() -> None:
    model, data = network(), made.conversations([4])
    unknown = Conversations(data.features, data.present, np.full(4, -1), data.label, data.offset)
    with torch.no_grad():
        expected = scores(model, unknown, [0]).teacher
        model.speaker.weight[:4] = 7.0
    torch.testing.assert_close(scores(model, unknown, [0]).teacher, expected)


@pytest.mark.parametrize("length", [1, 2, 600])
def test_any_length(length: int) -> None:
    assert scores(network(), made.conversations([length]), [0]).teacher.shape == (length, 3)


def test_a_model_of_one_modality() -> None:
    data = made.conversations([4, 2], dims={"text": 12})
    model = SDT(ModelConfig(hidden=16, heads=2), {"text": 12}, 3).eval()
    output = scores(model, data, [0, 1])
    assert output.students.shape == (1, 6, 3) and (output.weights == 1).all()


def test_statistics_standardise_and_a_constant_dimension_is_left_unscaled() -> None:
    model, data = network(), made.conversations([4])
    shifted = {name: values * 10 + 3 for name, values in data.features.items()}
    expected = scores(model, data, [0]).teacher
    mean = {name: torch.full((dim,), 3.0) for name, dim in made.DIMS.items()}
    model.set_statistics(mean, {name: torch.full((dim,), 10.0) for name, dim in made.DIMS.items()})
    moved = Conversations(shifted, data.present, data.speaker, data.label, data.offset)
    torch.testing.assert_close(scores(model, moved, [0]).teacher, expected, atol=1e-4, rtol=1e-4)
    model.set_statistics(mean, {name: torch.zeros(dim) for name, dim in made.DIMS.items()})
    assert scores(model, moved, [0]).teacher.isfinite().all()


def test_one_wild_dimension_does_not_decide_alone() -> None:
    data = made.conversations([4])
    wild = {name: values.copy() for name, values in data.features.items()}
    bounded = {name: values.copy() for name, values in data.features.items()}
    wild["audio"][1, 3], bounded["audio"][1, 3] = 4000, 10
    of = {"wild": wild, "bounded": bounded}
    found = {
        name: scores(network(), Conversations(x, data.present, data.speaker, data.label, data.offset), [0]).teacher
        for name, x in of.items()
    }
    torch.testing.assert_close(found["wild"], found["bounded"])


@pytest.mark.long
def test_compiled_parts_give_the_same_scores_for_any_batch() -> None:
    torch.compiler.reset()
    data, model, compiled = made.conversations([4, 7, 1, 7]), network(), network(dropout=0.3)
    compiled.load_state_dict(model.state_dict())
    compiled.compile_parts(backend="aot_eager")
    for chosen in ([0, 1], [1, 3, 0], [2, 1]):
        torch.testing.assert_close(
            scores(compiled, data, chosen).teacher, scores(model, data, chosen).teacher, atol=1e-5, rtol=1e-5
        )
    compiled.train()
    output = compiled(pack(data, [0, 1, 3]))
    output.teacher.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in compiled.parameters())


SWITCHES = [
    {"transformers": "intra"}, {"transformers": "inter"}, {"unimodal_gates": "none"}, {"multimodal_gate": "none"}
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("switch", SWITCHES, ids=str)
@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_parts_can_be_left_out(switch: dict[str, str], subset: tuple[str, ...]) -> None:
    data = without(made.conversations([5, 1, 3]), set(MODALITIES) - set(subset))
    published, model = network(), network(**switch)
    output = scores(model, data, [0, 1, 2])
    assert output.teacher.isfinite().all() and (output.teacher - scores(published, data, [0, 1, 2]).teacher).any()
    torch.testing.assert_close(output.weights.sum(dim=0), torch.ones(9))
    size = sum(parameter.numel() for parameter in model.parameters())
    assert size < sum(parameter.numel() for parameter in published.parameters())


def test_without_inter_modal_transformers_a_student_sees_its_own_modality_alone() -> None:
    data = made.conversations([6])
    blind = without(data, {"audio", "visual"})
    alone, seeing = network(transformers="intra"), network()
    torch.testing.assert_close(scores(alone, data, [0]).students[0], scores(alone, blind, [0]).students[0])
    assert (scores(seeing, data, [0]).students[0] - scores(seeing, blind, [0]).students[0]).abs().max() > 1e-3


def test_without_intra_modal_transformers_a_student_sees_its_own_modality_as_query_alone() -> None:
    data = made.conversations([6])
    other_turns = without(data, {"text"}, slice(1, None))
    model = network(transformers="inter")
    now, then = scores(model, data, [0]).students[0, 0], scores(model, other_turns, [0]).students[0, 0]
    torch.testing.assert_close(now, then)  # what it said in other turns is the key and value of no transformer to it


def test_without_the_multimodal_gate_present_modalities_weigh_alike() -> None:
    data = without(made.conversations([4]), {"audio"}, slice(0, 2))
    weights = scores(network(multimodal_gate="none"), data, [0]).weights
    torch.testing.assert_close(weights[:, 0], torch.tensor([0.5, 0.0, 0.5]))
    torch.testing.assert_close(weights[:, 3], torch.full((3,), 1 / 3))


def test_one_modality_has_no_inter_modal_transformers() -> None:
    with pytest.raises(ValueError, match="a model of text alone has no transformers from one modality to another"):
        SDT(ModelConfig(hidden=16, heads=2, transformers="inter"), {"text": 12}, 3)


def test_noise_is_added_in_training_alone() -> None:
    data = made.conversations([4])
    quiet, noisy = network(), network(noise=0.5)
    torch.testing.assert_close(scores(noisy, data, [0]).teacher, scores(quiet, data, [0]).teacher)
    first, second = (scores(noisy.train(), data, [0]).teacher for _ in range(2))
    assert not torch.equal(first, second)


def test_width_must_suit_the_heads() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        ModelConfig(hidden=10, heads=4)


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e6])
def test_a_dimension_varies_beside_its_mean_and_the_others_whatever_the_unit(unit: float) -> None:
    """A constant of 1000 whose rounding deviates by 3e-5, one of 0 by 1e-9, and two that vary."""
    deviation = unit * torch.tensor([1.0, 3e-5, 1e-9, 0.0, 0.02, 1.0, 1.0])
    mean = unit * torch.tensor([0.0, 1000.0, 0.0, 5.0, 1000.0, 1.0, -3.0])
    model = SDT(ModelConfig(hidden=8, heads=2), {"audio": 7}, 3)
    model.set_statistics({"audio": mean}, {"audio": deviation})
    varies = torch.tensor([True, False, False, False, True, True, True])
    expected = torch.where(varies, 1 / deviation, 1.0)
    torch.testing.assert_close(model.get_buffer("scale_audio"), expected)
