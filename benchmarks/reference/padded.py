"""The baseline: the published forward written plainly, over padded batches, one small operation after another.

It is the mathematics of the published model with nothing made fast: every conversation is padded to the longest of its
batch, each of the nine transformers runs by itself with separate query, key and value maps, and attention materialises
its scores. Parameters carry the published names, so that the parity vectors load into it as they are.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdt_model.config import MODALITIES, Modality

INITIAL = {"text": "t", "audio": "a", "visual": "v"}
PROJECTIONS = {"text": "textf_input", "audio": "acouf_input", "visual": "visuf_input"}


class Attention(nn.Module):
    """Multi-head attention with its scores in full: (B, T, H) -> (B, T, H)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.linear_k, self.linear_v = nn.Linear(width, width), nn.Linear(width, width)
        self.linear_q, self.linear = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, source: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        rows, length, width = target.shape

        def split(x: Tensor) -> Tensor:
            return x.view(rows, length, self.heads, width // self.heads).transpose(1, 2)

        query = split(self.linear_q(target)) / math.sqrt(width // self.heads)
        scores = query @ split(self.linear_k(source)).transpose(2, 3)
        share = self.dropout(torch.softmax(scores.masked_fill(~mask[:, None, None], -1e10), dim=-1))
        return self.linear((share @ split(self.linear_v(source))).transpose(1, 2).reshape(rows, length, width))


class FeedForward(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.w_1, self.w_2 = nn.Linear(width, width), nn.Linear(width, width)
        self.layer_norm = nn.LayerNorm(width, eps=1e-6)
        self.first, self.second = nn.Dropout(dropout), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.first(F.gelu(self.w_1(self.layer_norm(x)), approximate="tanh"))
        return x + self.second(self.w_2(inner))


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, dropout)
        self.feed_forward = FeedForward(width, dropout)
        self.layer_norm = nn.LayerNorm(width, eps=1e-6)  # published, and not used in a first layer
        self.dropout = nn.Dropout(dropout)

    def forward(self, source: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        return self.feed_forward(self.dropout(self.self_attn(source, target, mask)) + target)


class Transformer(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.transformer_inter = nn.ModuleList([Layer(width, heads, dropout)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, source: Tensor, target: Tensor, place: Tensor, mask: Tensor) -> Tensor:
        return self.transformer_inter[0](self.dropout(source + place), self.dropout(target + place), mask)


class Gate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.fc(x)) * x


class MultimodalGate(Gate):
    def forward(self, x: Tensor) -> Tensor:
        """(B, T, M, H) -> (B, T, H): a softmax over the modalities by channel."""
        return (torch.softmax(self.fc(x), dim=2) * x).sum(dim=2)


class PaddedSDT(nn.Module):
    """The published network; identity gates are linear maps that do not learn, as they are there."""

    def __init__(
        self, dims: Mapping[Modality, int], width: int, heads: int, classes: int, speakers: int, dropout: float
    ) -> None:
        super().__init__()
        self.speakers = speakers
        self.speaker_embeddings = nn.Embedding(speakers + 1, width, padding_idx=speakers)
        for modality in MODALITIES:
            letter = INITIAL[modality]
            setattr(self, PROJECTIONS[modality], nn.Conv1d(dims[modality], width, kernel_size=1, bias=False))
            for source in INITIAL.values():
                setattr(self, f"{source}_{letter}", Transformer(width, heads, dropout))
                gate = Gate(width)
                nn.init.eye_(gate.fc.weight).requires_grad_(False)
                setattr(self, f"{source}_{letter}_gate", gate)
            setattr(self, f"features_reduce_{letter}", nn.Linear(3 * width, width))
            head = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, classes))
            setattr(self, f"{letter}_output_layer", head)
        self.last_gate = MultimodalGate(width)
        self.all_output_layer = nn.Linear(width, classes)

    def forward(self, features: Mapping[Modality, Tensor], mask: Tensor, speaker: Tensor) -> tuple[Tensor, Tensor]:
        """``features`` (B, T, C) each, ``mask`` (B, T) true where valid -> students (M, B, T, K), teacher (B, T, K)."""
        place = self._positions(mask.shape[1]) + self.speaker_embeddings(speaker.masked_fill(~mask, self.speakers))
        inputs = {
            INITIAL[modality]: getattr(self, PROJECTIONS[modality])(x.transpose(1, 2)).transpose(1, 2)
            for modality, x in features.items()
        }
        modal = []
        for target, x in inputs.items():
            sources = [target, *(source for source in inputs if source != target)]
            columns = [
                getattr(self, f"{s}_{target}_gate")(getattr(self, f"{s}_{target}")(inputs[s], x, place, mask))
                for s in sources
            ]
            modal.append(getattr(self, f"features_reduce_{target}")(torch.cat(columns, dim=-1)))
        students = [getattr(self, f"{letter}_output_layer")(x) for letter, x in zip(inputs, modal, strict=True)]
        return torch.stack(students), self.all_output_layer(self.last_gate(torch.stack(modal, dim=2)))

    def _positions(self, length: int) -> Tensor:
        width = self.speaker_embeddings.embedding_dim
        angle = torch.arange(length)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
        return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)


def padded_loss(students: Tensor, teacher: Tensor, label: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """The published objective, all gammas 1, on valid positions."""
    teacher, target = teacher[mask], label[mask]
    total = F.cross_entropy(teacher, target)
    soft = F.softmax(teacher / temperature, dim=-1)
    for student in students:
        total = total + F.cross_entropy(student[mask], target)
        divergence = F.kl_div(F.log_softmax(student[mask] / temperature, dim=-1), soft, reduction="batchmean")
        total = total + divergence
    return total
