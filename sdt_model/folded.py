"""The network as labelling runs it: linear maps that follow one another are one map.

A modality's input to a transformer is ``features @ projection + speaker + position``, and the first thing that is done
with it is another linear map, to queries, keys and values. Of a modality with fewer features than the network is wide,
the product of the two maps is the smaller one. What a position becomes is looked up. The mathematics is `SDT.forward`'s
without dropout; only the rounding differs. In training the products would have to be made anew in every step.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdt_model.batch import Batch
from sdt_model.config import Modality, ModelConfig
from sdt_model.model import SDT, Linears, Output

_STEP = 64  # positions are looked up in steps of as many: their values do not depend on what was asked for before


class FoldedSDT(nn.Module):
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
        maps = [rows if folded else None for rows, folded in zip(self._inputs, self.folded, strict=True)]
        query, key_value = network.transformers.query, network.transformers.key_value
        self._target_of, self._source_of = (network.get_buffer(name).tolist() for name in ("target_of", "source_of"))
        self._query = _FoldedLinears(query, [maps[m] for m in self._target_of], network.position)
        self._key_value = _FoldedLinears(key_value, [maps[m] for m in self._source_of], network.position)

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
        present = batch.present.unsqueeze(-1)
        standard = [x * there for x, there in zip(network.standardised(batch), present, strict=True)]
        known = [torch.cat([x, speaker], dim=1) for x in standard]
        position = network.position(batch.position)
        placed = torch.stack([torch.addmm(position, x, rows) for x, rows in zip(known, self._inputs, strict=True)])
        read = [x if folded else whole for x, folded, whole in zip(known, self.folded, placed, strict=True)]
        longest = batch.groups[-1].length
        query = self._query([read[m] for m in self._target_of], batch.position, longest)
        key_value = self._key_value([read[m] for m in self._source_of], batch.position, longest)
        seen = network.seen(batch)
        mixed = network.transformers.attend(query, key_value, seen, batch)
        target = placed.index_select(0, network.get_buffer("target_of"))
        return network.heads(network.transformers.after(mixed, target), seen, batch)


class _FoldedLinears:
    """P linear maps, some of which take in the map before them: their input lacks what its position adds to it."""

    def __init__(self, linears: Linears, maps: Sequence[Tensor | None], position: Callable[[Tensor], Tensor]) -> None:
        """``maps``: (C + S, H) that come before each; None: nothing does, and its input is whole."""
        assert linears.bias is not None
        self._plain, self._bias, self._position = linears.weight, linears.bias, position
        # In double precision: a product of two rounded maps is then rounded once.
        self._weights = [
            weight if rows is None else (rows.double() @ weight.double()).float()
            for rows, weight in zip(maps, linears.weight, strict=True)
        ]
        outputs = linears.weight.shape[-1]
        self._positions = [None if rows is None else rows.new_empty(0, outputs) for rows in maps]

    def __call__(self, inputs: Sequence[Tensor], position: Tensor, longest: int) -> Tensor:
        """P inputs (N, C + S) or (N, H), positions (N,) below ``longest`` -> (P, N, out)."""
        found = inputs[0].new_empty(len(inputs), len(position), self._plain.shape[-1])
        for p, (x, weight, out) in enumerate(zip(inputs, self._weights, found, strict=True)):
            if (positions := self._up_to(longest, p)) is None:
                torch.addmm(self._bias[p], x, weight, out=out)
            else:
                torch.index_select(positions, 0, position, out=out).addmm_(x, weight)
        return found

    def _up_to(self, longest: int, p: int) -> Tensor | None:
        """(positions, out): what each of at least the first ``longest`` positions becomes, with the bias."""
        known = self._positions[p]
        while known is not None and len(known) < longest:
            further = torch.arange(len(known), len(known) + _STEP, device=known.device)
            known = torch.cat([known, torch.addmm(self._bias[p], self._position(further), self._plain[p])])
            self._positions[p] = known
        return known
