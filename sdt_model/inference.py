"""The network as labelling runs it: linear maps that follow one another are one map.

A modality's input to a transformer is ``features @ projection + speaker + position``, and the first thing that is done
with it is another linear map, to queries, keys and values. Of a modality with fewer features than the network is wide,
the product of the two maps is the smaller one. What a position becomes is looked up. A layer norm's scale and shift
go into the map behind it. The mathematics is `SDT.forward`'s without dropout; only the rounding differs. In training
the products would have to be made anew in every step.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdt_model.batch import Batch
from sdt_model.config import Modality, ModelConfig
from sdt_model.model import NORM_EPS, SDT, Output
from sdt_model.ops.stacked_linear import StackedLinear

_STEP = 64  # positions are looked up in steps of as many: their values do not depend on what was asked for before


class InferenceSDT(nn.Module):
    """Scores as the network that it is made of has them in evaluation; it does not learn.

    Attributes:
        network: that network.
        folded: for each modality, whether its maps are folded.
    """

    @torch.inference_mode()
    def __init__(self, network: SDT) -> None:
        """``network``: on the device where it is to run, with the weights that it is to keep."""
        super().__init__()
        self.network = network.eval()
        # What a modality's features and its speaker, one of S as 0 or 1, are mapped by: (C + S, H).
        projections = [cast(nn.Linear, project).weight.T for project in network.project]
        self._inputs = [torch.cat([projection, network.speaker.weight]) for projection in projections]
        self.folded = tuple(len(rows) < network.config.hidden for rows in self._inputs)
        target_of, source_of = network.get_buffer("target_of"), network.get_buffer("source_of")
        transformers = network.transformers
        query, key_value, inner = transformers.query, transformers.key_value, transformers.inner
        keys, values = zip(key_value.weight.chunk(2, dim=-1), _biases(key_value).chunk(2, dim=-1), strict=True)
        maps = ((target_of, query.weight, _biases(query)), (source_of, *keys), (source_of, *values))
        self._query_key_value = [self._after_inputs(of.tolist(), weight, bias) for of, weight, bias in maps]
        self._inner = transformers.norm_weight.transpose(1, 2) * inner.weight
        self._inner_bias = torch.baddbmm(_biases(inner), transformers.norm_bias, inner.weight)

    @property
    def config(self) -> ModelConfig:
        return self.network.config

    @property
    def modalities(self) -> tuple[Modality, ...]:
        return self.network.modalities

    @property
    def classes(self) -> int:
        return self.network.classes

    @torch.inference_mode()
    def forward(self, batch: Batch) -> Output:
        network = self.network
        speaker = F.one_hot(network.speaker_row(batch), network.config.speakers + 1).float()
        known = [torch.cat([x, speaker], dim=1) for x in network.standardised(batch)]
        position = network.position(batch.position)
        placed = position.repeat(len(known), 1, 1)
        for place, x, rows in zip(placed, known, self._inputs, strict=True):
            place.addmm_(x, rows)
        read = [x if folded else whole for x, folded, whole in zip(known, self.folded, placed, strict=True)]
        query, key, value = (maps(read, batch.position, batch.groups[-1].length) for maps in self._query_key_value)
        seen = network.seen(batch)
        pairwise = self._after(network.transformers.attend(query, key, value, seen, batch), placed)
        return network.scores(self._by_target(self._gated(network.known(pairwise, seen, batch))), batch)

    def _after(self, mixed: Tensor, placed: Tensor) -> Tensor:
        """`Transformers.after`; of their targets, (M, N, H), each is that of P / M transformers in turn."""
        attended, outer = self.network.transformers.attended, self.network.transformers.outer
        bias = _biases(attended).view(len(placed), -1, 1, placed.shape[-1])
        x = (placed.unsqueeze(1) + bias).flatten(0, 1).baddbmm_(mixed, attended.weight)
        inner = torch.baddbmm(self._inner_bias, F.layer_norm(x, x.shape[-1:], eps=NORM_EPS), self._inner)
        return x.add_(_biases(outer)).baddbmm_(F.gelu(inner, approximate="tanh"), outer.weight)

    def _gated(self, pairwise: Tensor) -> Tensor:
        """(P, N, H) -> (N, P, H): `SDT.gated`, what was found for each utterance side by side."""
        beside = pairwise.new_empty(pairwise.shape[1], pairwise.shape[0], pairwise.shape[2])
        if self.config.unimodal_gates == "identity":
            torch.ops.aten.silu.out(pairwise, out=beside.transpose(0, 1))  # one pass over the memory less
            return beside
        return beside.copy_(self.network.gated(pairwise).transpose(0, 1))

    def _by_target(self, gated: Tensor) -> Tensor:
        """(N, P, H) -> (M, N, H): what every source says of a target, reduced."""
        reduce = self.network.reduce
        modal = _biases(reduce).repeat(1, len(gated), 1)
        by_target = gated.flatten(1).chunk(len(modal), dim=1)  # (N, sources * H) of each
        # One by one, each product has all threads: three do not share two evenly.
        for out, gates, weight in zip(modal, by_target, reduce.weight, strict=True):
            out.addmm_(gates, weight)
        return modal

    def _after_inputs(self, of: list[int], weight: Tensor, bias: Tensor) -> "_AfterInputs":
        rows = [self._inputs[m] if self.folded[m] else None for m in of]
        return _AfterInputs(of, rows, weight, bias, self.network.position)


def _biases(linears: StackedLinear) -> Tensor:
    assert linears.bias is not None
    return linears.bias


class _AfterInputs:
    """The linear maps of P transformers' inputs, some of which take in the map that makes the input of features."""

    def __init__(
        self,
        of: list[int],
        inputs: list[Tensor | None],
        weight: Tensor,
        bias: Tensor,
        position: Callable[[Tensor], Tensor],
    ) -> None:
        """``of``: the modality that each reads; ``inputs``: the map (C + S, H) to take in; ``weight``: (P, H, H)."""
        self._of, self._plain, self._bias, self._position = of, weight, bias, position
        # In double precision: a product of two rounded maps is then rounded once.
        self._weights = [
            plain if rows is None else (rows.double() @ plain.double()).float()
            for rows, plain in zip(inputs, weight, strict=True)
        ]
        self._folded = bias.new_tensor([[float(rows is not None)] for rows in inputs])
        self._known = bias.new_empty(0, *bias.shape[::2])

    def __call__(self, inputs: Sequence[Tensor], position: Tensor, longest: int) -> Tensor:
        """M inputs (N, C + S) or, where no map was taken in, (N, H), positions (N,) < ``longest`` -> (P, N, H)."""
        mapped = self._positions(longest).index_select(0, position)
        for p, (m, weight) in enumerate(zip(self._of, self._weights, strict=True)):
            mapped[:, p].addmm_(inputs[m], weight)
        return mapped.transpose(0, 1)

    def _positions(self, longest: int) -> Tensor:
        """(positions, P, H): what each of at least the first ``longest`` positions becomes, and the bias."""
        while len(self._known) < longest:
            further = torch.arange(len(self._known), len(self._known) + _STEP, device=self._known.device)
            through = torch.einsum("nh,pho->npo", self._position(further), self._plain)
            self._known = torch.cat([self._known, through * self._folded + self._bias.squeeze(1)])
        return self._known
