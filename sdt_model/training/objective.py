"""The self-distillation objective (Ma et al. 2023, "self-distillation"), over valid utterances of the global batch.

Every term is a sum over this worker's utterances divided by a count over all workers' utterances. So the workers'
terms, and gradients, add up to those of the global batch however unevenly it was shared out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sdt_model.batch import Batch
from sdt_model.config import Modality, ObjectiveConfig
from sdt_model.conversations import Bools, Ints
from sdt_model.model import Output


@dataclass(frozen=True)
class Totals:
    """Divisors of a global batch's loss terms.

    Attributes:
        task: summed class weight of annotated utterances that have any modality.
        ce: (M,) the same of those that have this modality.
        kl: (M,) how many those are.
    """

    task: float
    ce: tuple[float, ...]
    kl: tuple[float, ...]


class Objective:
    """gamma_task * CE(teacher) + sum over modalities of gamma_ce * CE(student) + gamma_kl * KL(teacher || student)."""

    def __init__(
        self, config: ObjectiveConfig, modalities: tuple[Modality, ...], emotions: tuple[str, ...], label: Ints
    ) -> None:
        """``label``: (N,) of the training split, -1 where not annotated.

        Raises:
            ValueError: class weights do not name exactly the emotions.
        """
        self.config = config
        self.modalities = modalities
        self.class_weight = _class_weights(config, emotions, label)

    def totals(self, label: Ints, present: Bools) -> Totals:
        """Divisors of the global batch with labels (N,) and presence (M, N)."""
        weight = torch.where(torch.from_numpy(label) >= 0, self.class_weight[label.clip(0)], 0.0)
        has = torch.from_numpy(present & (label >= 0))
        return Totals(
            task=float(weight[has.any(dim=0)].sum()),
            ce=tuple(float(weight[row].sum()) for row in has),
            kl=tuple(float(row.sum()) for row in has),
        )

    def terms(self, output: Output, batch: Batch, totals: Totals) -> dict[str, Tensor]:
        """The 1 + 2 M terms, unweighted: ``task``, ``ce.<modality>``, ``kl.<modality>``."""
        label = batch.label.clamp_min(0)
        has = batch.present & (batch.label >= 0)  # (M, N)
        weight = self.class_weight.to(label.device)[label]
        soft = output.teacher / self.config.temperature
        terms = {"task": _share((self._nll(output.teacher, label) * weight * has.any(dim=0)).sum(), totals.task)}
        for m, name in enumerate(self.modalities):
            student = output.students[m]
            terms[f"ce.{name}"] = _share((self._nll(student, label) * weight * has[m]).sum(), totals.ce[m])
            # Both sides are softened; there is no factor T^2, and the teacher learns from this term too.
            divergence = F.kl_div(
                F.log_softmax(student / self.config.temperature, dim=-1),
                F.log_softmax(soft, dim=-1),
                reduction="none",
                log_target=True,
            ).sum(dim=-1)
            terms[f"kl.{name}"] = _share((divergence * has[m]).sum(), totals.kl[m])
        return terms

    def _nll(self, logits: Tensor, label: Tensor) -> Tensor:
        """Cross-entropy of each utterance, (N,), smoothed and focused as configured (Lin et al. 2017, equation 4)."""
        loss = F.cross_entropy(logits, label, reduction="none", label_smoothing=self.config.label_smoothing)
        if not self.config.focal:
            return loss
        miss = -torch.expm1(-F.cross_entropy(logits, label, reduction="none"))  # 1 - probability, exact near 0
        return loss * miss.clamp_min(torch.finfo(miss.dtype).tiny) ** self.config.focal

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the terms."""
        gamma = {"task": self.config.gamma_task, "ce": self.config.gamma_ce, "kl": self.config.gamma_kl}
        return torch.stack([gamma[name.split(".")[0]] * value for name, value in terms.items()]).sum()


def _class_weights(config: ObjectiveConfig, emotions: tuple[str, ...], label: Ints) -> Tensor:
    """(K,) cross-entropy weight of each emotion; only their ratios matter, since terms are weighted means."""
    if config.class_weights is not None:
        if set(config.class_weights) != set(emotions):
            raise ValueError(
                f"class_weights name {sorted(config.class_weights)}, the annotated emotions are {sorted(emotions)}"
            )
        return torch.tensor([config.class_weights[name] for name in emotions])
    count = torch.from_numpy(label[label >= 0]).bincount(minlength=len(emotions)).clamp_min(1)
    return (count / count.sum()) ** -config.balance


def _share(local_sum: Tensor, total: float) -> Tensor:
    """A worker's part of a global mean; zero where the whole batch has nothing to count."""
    return local_sum / max(total, 1e-12)
