import torch

from sdt_model.precision import prepare_precision, training_precision
from tests.sdt_model import made
from tests.sdt_model.test_model import network, scores


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
