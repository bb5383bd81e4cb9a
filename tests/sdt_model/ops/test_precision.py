import pytest
import torch

from sdt_model.config import Precision
from sdt_model.ops.precision import prepare_precision, training_precision, uses_bf16_matmul
from tests.fixtures import conversations as made
from tests.fixtures.networks import network, scores


def test_a_processor_trains_in_float32() -> None:
    before = torch.get_float32_matmul_precision()
    prepare_precision(torch.device("cpu"))
    assert torch.get_float32_matmul_precision() == before
    with training_precision(torch.device("cpu"), "auto"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_the_network_runs_in_half_the_bits_and_scores_come_out_in_float32() -> None:
    data, model = made.conversations([3, 5, 5], present=0.7), network()
    exact = scores(model, data, [0, 1, 2])
    with torch.autocast("cpu", torch.bfloat16):
        rough = scores(model, data, [0, 1, 2])
    for name in ("teacher", "students", "weights"):
        assert getattr(rough, name).dtype == torch.float32
    difference = (rough.teacher.softmax(-1) - exact.teacher.softmax(-1)).abs().max()
    assert 0 < difference < 0.05


@pytest.mark.parametrize(
    ("asked", "has", "width", "expected"),
    [
        ("auto", True, 512, True),
        ("auto", True, 256, False),
        ("auto", False, 1024, False),
        ("float32", True, 1024, False),
    ],
)
def test_products_are_halved_where_a_processor_has_units_for_it_and_it_pays(
    asked: Precision, has: bool, width: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": has})
    assert uses_bf16_matmul(torch.device("cpu"), asked, width) == expected
    assert not uses_bf16_matmul(torch.device("meta"), asked, width)


@pytest.mark.parametrize("lengths", [[3, 5, 5], [60, 70, 70]])
def test_training_steps_with_halved_products_are_close_and_scores_are_exact(lengths: list[int]) -> None:
    """The factors of few utterances are rounded by a processor that has units for it, those of over 192 by any."""
    data, model = made.conversations(lengths), network()
    exact = scores(model, data, [0, 1, 2])
    model.use_bf16_matmul()
    assert torch.equal(scores(model, data, [0, 1, 2]).teacher, exact.teacher)
    rough = scores(model.train(), data, [0, 1, 2])
    difference = (rough.teacher.softmax(-1) - exact.teacher.softmax(-1)).abs().max()
    assert difference < 0.02
    if sum(lengths) > 192 or uses_bf16_matmul(torch.device("cpu"), "auto", 512):
        assert difference > 0
