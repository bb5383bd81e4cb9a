"""SDT, the transformer with self-distillation for emotion recognition in conversations.

Ma et al., "A Transformer-Based Model With Self-Distillation for Multimodal Emotion Recognition in Conversations",
IEEE Transactions on Multimedia, 2023. Shapes below: N utterances of a batch, M modalities, P = M * M ordered pairs of
modalities, H hidden width, K emotions. The P transformers (one for each target and source) share every operation:
their weights are stacked along the first axis, and one batched product does the work of P.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdt_model.batch import Batch
from sdt_model.config import MODALITIES, Modality, ModelConfig
from sdt_model.ops.dropout import dropout
from sdt_model.ops.stacked_linear import StackedLinear

VARIES = 1e-6  # of a dimension's mean, or of the typical deviation: less is rounding
NORM_EPS = 1e-6  # of the layer norm within the feed-forward, as published


@dataclass(frozen=True)
class Output:
    """Scores of N utterances.

    Attributes:
        students: (M, N, K) logits of each modality's head.
        teacher: (N, K) logits of the fused head; in use, where an utterance has one of several modalities, that
            student's: there is nothing to fuse, and the student has learned from every utterance that has it.
        weights: (M, N) the fusion gate's weight of each modality, mean over channels; sums to 1 over M.
    """

    students: Tensor
    teacher: Tensor
    weights: Tensor


class Transformers(nn.Module):
    """P one-layer transformers, each with a source as key and value and a target as query."""

    def __init__(self, config: ModelConfig, pairs: int) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.dropout
        width = config.hidden
        self.query, self.key_value = StackedLinear(pairs, width, width), StackedLinear(pairs, width, 2 * width)
        self.attended = StackedLinear(pairs, width, width)
        self.norm_weight = nn.Parameter(torch.ones(pairs, 1, width))
        self.norm_bias = nn.Parameter(torch.zeros(pairs, 1, width))
        self.inner, self.outer = StackedLinear(pairs, width, width), StackedLinear(pairs, width, width)

    def forward(self, source: Tensor, target: Tensor, seen: Tensor | None, batch: Batch) -> Tensor:
        """(P, N, H), (P, N, H), which sources can be seen (P, N) or None for all -> (P, N, H)."""
        key, value = self.key_value(source).chunk(2, dim=-1)
        return self.after(self.attend(self.query(target), key, value, seen, batch), target)

    def after(self, mixed: Tensor, target: Tensor) -> Tensor:
        """(P, N, H), (P, N, H) -> (P, N, H): all that follows attention."""
        x = target + self._drop(self.attended(mixed))
        normed = torch.addcmul(self.norm_bias, F.layer_norm(x, x.shape[-1:], eps=NORM_EPS), self.norm_weight)
        inner = self._drop(F.gelu(self.inner(normed), approximate="tanh"))
        return x + self._drop(self.outer(inner))

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None, batch: Batch) -> Tensor:
        """(P, N, H), (P, N, H), (P, N, H) -> (P, N, H): attention within each conversation."""
        pairs, _, width = query.shape
        sizes = [group.end - group.begin for group in batch.groups]

        def by_group(x: Tensor) -> Iterator[Tensor]:  # (P, N, H) -> for each group (G, P * heads, L, H / heads)
            for group, part in zip(batch.groups, torch.split(x, sizes, dim=1), strict=True):
                whole = part.view(pairs, group.conversations, group.length, self.heads, -1)
                yield whole.permute(1, 0, 3, 2, 4).flatten(1, 2)

        dropped = self.dropout if self.training else 0.0
        mixed = []
        for group, q, k, v in zip(batch.groups, *map(by_group, (query, key, value)), strict=True):
            mask, some = None, None
            if seen is not None:
                visible = seen[:, group.begin : group.end].view(pairs, -1, group.length).transpose(0, 1)
                mask = visible.repeat_interleave(self.heads, dim=1).unsqueeze(2)  # (G, P * heads, 1, L)
                # Where a conversation has nothing of the source, attend to anything and take nothing of it.
                some = mask.any(dim=-1, keepdim=True)
                mask = mask | ~some
            out = F.scaled_dot_product_attention(q, k, v, mask, dropped)
            out = out if some is None else out * some
            mixed.append(out.transpose(1, 2).reshape(-1, pairs, width))
        return torch.cat(mixed).transpose(0, 1)


class SDT(nn.Module):
    """The network: features of M modalities to emotions, one head a modality (students) and one fused (teacher)."""

    def __init__(self, config: ModelConfig, dims: Mapping[Modality, int], classes: int) -> None:
        """``dims``: the feature dimension of each modality the model takes.

        Raises:
            ValueError: there is one modality, and only transformers to another are wanted.
        """
        super().__init__()
        self.config = config
        self.modalities = tuple(name for name in MODALITIES if name in dims)
        self.classes = classes
        count, width = len(self.modalities), config.hidden
        for name in self.modalities:  # statistics of the training split, part of the saved model
            self.register_buffer(f"mean_{name}", torch.zeros(dims[name]))
            self.register_buffer(f"scale_{name}", torch.ones(dims[name]))
        self.project = nn.ModuleList([nn.Linear(dims[name], width, bias=False) for name in self.modalities])
        self.speaker = nn.Embedding(config.speakers + 1, width, padding_idx=config.speakers)
        wanted = {"all": (True, False), "intra": (True,), "inter": (False,)}[config.transformers]
        pairs = [(target, source) for target, source in product(range(count), repeat=2) if (target == source) in wanted]
        if not pairs:
            raise ValueError(f"a model of {self.modalities[0]} alone has no transformers from one modality to another")
        self.transformers = Transformers(config, len(pairs))
        learned = config.unimodal_gates == "learned"
        self.unimodal_gate = StackedLinear(len(pairs), width, width, bias=False) if learned else None
        self.reduce = StackedLinear(count, len(pairs) // count * width, width)
        self.multimodal_gate = nn.Linear(width, width, bias=False) if config.multimodal_gate == "learned" else None
        self.students = StackedLinear(count, width, classes)
        self.teacher = nn.Linear(width, classes)
        self.register_buffer("target_of", torch.tensor([target for target, _ in pairs]), persistent=False)
        self.register_buffer("source_of", torch.tensor([source for _, source in pairs]), persistent=False)

    def set_statistics(self, mean: Mapping[Modality, Tensor], deviation: Mapping[Modality, Tensor]) -> None:
        """Standardise features (C,) by these from now on; a dimension that never varies is left unscaled.

        Whether it varies is told beside its mean, whose rounding looks like a deviation, and beside the modality's
        other dimensions, whatever unit they are in.
        """
        for name in self.modalities:
            spread = deviation[name]
            typical = spread[spread > 0].median() if (spread > 0).any() else spread.new_zeros(())
            varies = spread > VARIES * torch.maximum(mean[name].abs(), typical)
            self.get_buffer(f"mean_{name}").copy_(mean[name])
            self.get_buffer(f"scale_{name}").copy_(torch.where(varies, 1 / torch.where(varies, spread, 1.0), 1.0))

    def forward(self, batch: Batch) -> Output:
        place = self.position(batch.position) + cast(Tensor, self.speaker(self.speaker_row(batch)))  # (N, H)
        columns = [project(x) for project, x in zip(self.project, self.standardised(batch), strict=True)]
        placed = torch.stack(columns) + place  # (M, N, H)
        target_of, source_of = cast(Tensor, self.target_of), cast(Tensor, self.source_of)
        # Every transformer draws its own dropout for its source and for its target.
        source, target = (self._drop(placed.index_select(0, of)) for of in (source_of, target_of))
        seen = self.seen(batch)
        return self.heads(self.transformers(source, target, seen, batch), seen, batch)

    def seen(self, batch: Batch) -> Tensor | None:
        """(P, N): the utterances that have what each transformer takes as source; None: all have everything."""
        return None if batch.complete else batch.present[cast(Tensor, self.source_of)]

    def heads(self, pairwise: Tensor, seen: Tensor | None, batch: Batch) -> Output:
        """What the transformers found, (P, N, H), to scores."""
        return self.scores(self._by_target(self.gated(self.known(pairwise, seen, batch))), batch)

    def scores(self, modal: Tensor, batch: Batch) -> Output:
        """What every source says of each target, (M, N, H), to scores."""
        fused, weights = self._fuse(modal, batch.present.unsqueeze(-1))
        students, teacher = self.students(self._drop(F.relu(modal))), self.teacher(fused)
        if not (self.training or batch.complete or len(self.modalities) == 1):
            alone = batch.present.sum(dim=0) == 1
            own = (students * batch.present.unsqueeze(-1)).sum(dim=0)  # (N, K)
            teacher = torch.where(alone.unsqueeze(-1), own, teacher)
        return Output(students.float(), teacher.float(), weights.float())

    def use_bf16_matmul(self) -> None:
        """Train with wide products in bfloat16, on a processor that multiplies it itself."""
        for module in self.modules():
            if isinstance(module, StackedLinear):
                module.bf16 = module is not self.students

    def compile_parts(self, backend: str = "inductor") -> None:
        """Have the parts compiled that do not care which conversations are in a batch; attention stays as it is."""
        parts = ((self.transformers, "after"), (self, "gated"), (self, "_by_target"), (self, "_fuse"))
        for owner, name in parts:
            setattr(owner, name, torch.compile(getattr(owner, name), backend=backend, dynamic=True, fullgraph=True))

    def standardised(self, batch: Batch) -> Iterator[Tensor]:
        """For each modality (N, C), zeros where it is absent, whatever stands there.

        Raises:
            ValueError: the batch has other modalities than the network takes.
        """
        if batch.modalities != self.modalities:
            raise ValueError(
                f"the network takes {', '.join(self.modalities)}, and the batch has {', '.join(batch.modalities)}"
            )
        for name, x, present in zip(self.modalities, batch.features, batch.present, strict=True):
            standard = (x - self.get_buffer(f"mean_{name}")).mul_(self.get_buffer(f"scale_{name}"))
            if self.config.clip is not None:  # a dimension that hardly varied in training may be thousands off later
                standard.clamp_(-self.config.clip, self.config.clip)
            if self.training and self.config.noise:
                standard = standard + self.config.noise * torch.randn_like(standard)
            # Not a product: what is absent may be no number, and 0 times that is none either.
            yield standard if batch.complete else standard.masked_fill(~present.unsqueeze(-1), 0.0)

    def position(self, place: Tensor) -> Tensor:
        """(N,) -> (N, H): sinusoids of the place in the conversation."""
        half = torch.arange(0, self.config.hidden, 2, device=place.device, dtype=torch.float32)
        angle = place.unsqueeze(-1) * torch.exp(half * (-math.log(10000.0) / self.config.hidden))
        return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)

    def speaker_row(self, batch: Batch) -> Tensor:
        """(N,): the speaker table's row of each utterance; the last where the speaker is unknown."""
        return torch.where(batch.speaker >= 0, batch.speaker % self.config.speakers, self.config.speakers)

    def gated(self, pairwise: Tensor) -> Tensor:
        """(P, N, H) -> (P, N, H): unimodal-level gated fusion."""
        if self.config.unimodal_gates == "none":
            return pairwise
        return F.silu(pairwise) if self.unimodal_gate is None else pairwise * self.unimodal_gate(pairwise).sigmoid()

    def known(self, pairwise: Tensor, seen: Tensor | None, batch: Batch) -> Tensor:
        """(P, N, H) -> (P, N, H): nothing, where the utterance's conversation has nothing of the source."""
        if seen is None:
            return pairwise
        parts = []
        for group in batch.groups:
            group_seen = seen[:, group.begin : group.end].view(-1, group.conversations, group.length)
            parts.append(group_seen.any(dim=-1, keepdim=True).expand(group_seen.shape).flatten(1))
        return pairwise * torch.cat(parts, dim=1).unsqueeze(-1)

    def _by_target(self, gated: Tensor) -> Tensor:
        """(P, N, H) -> (M, N, H): what every source says of a target, side by side, reduced."""
        by_target = gated.view(len(self.modalities), -1, *gated.shape[1:])  # (M target, sources, N, H)
        return cast(Tensor, self.reduce(by_target.transpose(1, 2).flatten(2)))

    def _fuse(self, modal: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """(M, N, H) -> fused (N, H), mean weights (M, N): multimodal-level gated fusion, a softmax by channel."""
        scores = torch.zeros_like(modal) if self.multimodal_gate is None else self.multimodal_gate(modal)
        scores = scores.masked_fill(~present, -1e9)
        share = torch.softmax(scores, dim=0)
        return (share * modal).sum(dim=0), share.mean(dim=-1)

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.config.dropout, self.training)
