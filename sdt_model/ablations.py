"""The variants of an ablation: the published model without one part at a time, or with fewer modalities.

They are those of the paper (Ma et al. 2023, ablation studies).
"""

from collections.abc import Collection, Iterable
from itertools import combinations
from typing import Any

from sdt_model.config import MODALITIES, Modality, TrainingConfig

FULL = "full model"
Subset = tuple[Modality, ...]
Variant = tuple[TrainingConfig, Subset]

_WITHOUT: dict[str, dict[str, dict[str, Any]]] = {
    "without self-distillation": {"objective": {"gamma_ce": 0.0, "gamma_kl": 0.0}},
    "without hard labels": {"objective": {"gamma_ce": 0.0}},
    "without soft labels": {"objective": {"gamma_kl": 0.0}},
    "without intra-modal transformers": {"model": {"transformers": "inter"}},
    "without inter-modal transformers": {"model": {"transformers": "intra"}},
    "without unimodal gates": {"model": {"unimodal_gates": "none"}},
    "without the multimodal gate": {"model": {"multimodal_gate": "none"}},
}
_OF_SEVERAL = ("without intra-modal transformers", "without inter-modal transformers", "without the multimodal gate")


def variants(training: TrainingConfig, modalities: Subset) -> dict[str, Variant]:
    """Every variant by name, the full model first; a model of one modality has no inter-modal part to lose."""
    by_name: dict[str, Variant] = {FULL: (training, modalities)}
    for name, parts in _WITHOUT.items():
        if len(modalities) > 1 or name not in _OF_SEVERAL:
            changed = {part: getattr(training, part).model_copy(update=values) for part, values in parts.items()}
            by_name[name] = training.model_copy(update=changed), modalities
    for subset in subsets_of(modalities)[:-1]:
        by_name[f"only {'+'.join(subset)}"] = training, subset
    return by_name


def subsets_of(modalities: Subset) -> tuple[Subset, ...]:
    """Every subset but the empty one, smaller ones first."""
    ordered = [name for name in MODALITIES if name in modalities]
    return tuple(subset for size in range(1, len(ordered) + 1) for subset in combinations(ordered, size))


def unknown_variants(wanted: Iterable[str], names: Collection[str]) -> str | None:
    """The error message about wanted variants that do not exist; None: all do."""
    if unknown := sorted(set(wanted) - set(names)):
        return f"there is no variant {', '.join(map(repr, unknown))}; there are: {', '.join(names)}"
    return None


VARIANTS = tuple(variants(TrainingConfig(), MODALITIES))
"""The names of all, of a model of all modalities."""
