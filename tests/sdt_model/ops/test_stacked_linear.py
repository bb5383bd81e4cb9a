import torch
from torch import nn

from sdt_model.ops.stacked_linear import StackedLinear


def test_each_is_a_linear_map_of_its_own() -> None:
    torch.manual_seed(0)
    maps, x = StackedLinear(3, 5, 4), torch.randn(3, 7, 5)
    for index, found in enumerate(maps(x)):
        alone = nn.Linear(5, 4)
        with torch.no_grad():
            alone.weight.copy_(maps.weight[index].T)
            alone.bias.copy_(maps.bias[index, 0])
        torch.testing.assert_close(found, alone(x[index]))


def test_it_starts_as_linear_maps_do() -> None:
    torch.manual_seed(0)
    ours, theirs = StackedLinear(4, 256, 64), nn.Linear(256, 64)
    for mine, its in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        assert mine.abs().max() <= 1 / 16 and its.abs().max() <= 1 / 16
        torch.testing.assert_close(mine.std(), its.std(), rtol=0.15, atol=0)
    assert StackedLinear(1, 2, 2, bias=False).bias is None
