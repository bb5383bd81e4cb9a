"""How sure a model may be: a temperature that is fitted on dev, and how far confidence is from being right.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017: temperature scaling (section 4.2) and the expected
calibration error (equation 3). A temperature changes how sure a model is, never which emotion it says.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from sdt_model.config import Frozen, Modality
from sdt_model.conversations import Floats, Ints

LOWEST, HIGHEST = 0.05, 20.0
FEWEST_CONVERSATIONS, FEWEST_UTTERANCES = 5, 30
"""On fewer no temperature is fitted: of a handful of utterances that all are right it would be the lowest."""
SHRINKAGE = 0.2
"""Weight of (log temperature)^2 beside the mean Brier score of one conversation: few do not pull it far from 1."""


class Labelled(NamedTuple):
    """What a model says of N utterances, and what is true."""

    probabilities: Floats
    """(N, K)"""
    label: Ints
    """(N,), -1 where there is none."""
    conversation: Ints
    """(N,) the number of its conversation."""

    @property
    def counted(self) -> "Labelled":
        """Those that have a label."""
        valid = self.label >= 0
        return Labelled(self.probabilities[valid], self.label[valid], self.conversation[valid])


class Calibration(Frozen):
    """A fitted temperature, and how wrong confidence is without and with it."""

    temperature: float = 1.0
    """Divides the fused head's logits."""
    alone: dict[Modality, float] = Field(default_factory=dict)
    """Divides a modality's logits where an utterance has that one alone; nothing of a model of one modality."""
    errors: dict[str, float] = Field(default_factory=dict)
    """Expected calibration errors: `<split>_ece_before` and `<split>_ece_after`, and `<split>_ece_<modality>_before`
    and `..._after` of what is said from one modality alone."""


def calibrate(
    splits: Mapping[str, Labelled], alone: Mapping[Modality, Mapping[str, Labelled]] | None = None
) -> Calibration:
    """Fit temperatures on the split `dev`, and measure on every split.

    Args:
        splits: by name, what the model says.
        alone: for each modality, what it says from that one alone, by split.
    """
    temperature, errors = _fitted(splits, "ece")
    students: dict[Modality, float] = {}
    for modality, said in (alone or {}).items():
        students[modality], more = _fitted(said, f"ece_{modality}")
        errors |= more
    return Calibration(temperature=temperature, alone=students, errors=errors)


def _fitted(splits: Mapping[str, Labelled], name: str) -> tuple[float, dict[str, float]]:
    counted = {split: said.counted for split, said in splits.items()}
    temperature = fit_temperature(*counted["dev"])
    errors: dict[str, float] = {}
    for split, (scores, label, _) in counted.items():
        errors[f"{split}_{name}_before"] = expected_calibration_error(scores, label)
        errors[f"{split}_{name}_after"] = expected_calibration_error(tempered(scores, temperature), label)
    return temperature, errors


def fit_temperature(probabilities: Floats, label: Ints, conversation: Ints) -> float:
    """The temperature in [`LOWEST`, `HIGHEST`] whose probabilities (N, K) have the least Brier score on labels (N,).

    Guo et al. take the likelihood. Its loss has no bound: a few utterances of which the model is all but sure, and
    wrong, would make it unsure of all others. The Brier score (1950) is proper as well, and at most 2 an utterance.
    It is shrunk towards 1 (`SHRINKAGE`), the more the fewer conversations (N,) there are, as utterances of one are
    alike. With too few to fit on, or nothing that a temperature betters, it is 1.
    """
    conversations = len(np.unique(conversation))
    if conversations < FEWEST_CONVERSATIONS or len(label) < FEWEST_UTTERANCES:
        return 1.0
    scores, truth = _logarithm(probabilities), np.eye(probabilities.shape[-1])[label]

    def loss(temperature: float) -> float:
        brier = float(((_softmax(scores / temperature) - truth) ** 2).sum(axis=-1).mean())
        return brier + SHRINKAGE / conversations * float(np.log(temperature)) ** 2

    best = 1.0
    for step in (1.05, 1.002):  # a search through the whole range, and a finer one around its best
        reach = HIGHEST if step > 1.01 else 1.05
        grid = np.geomspace(
            max(LOWEST, best / reach), min(HIGHEST, best * reach), round(2 * np.log(reach) / np.log(step))
        )
        candidate = min(map(float, grid), key=loss)
        best = candidate if loss(candidate) < loss(best) - 1e-12 else best
    return best


def tempered(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities (N, K) as they would be had their logits been divided by the temperature."""
    return _softmax(_logarithm(probabilities) / temperature).astype(np.float32)


def expected_calibration_error(probabilities: Floats, label: Ints, bins: int = 15) -> float:
    """Mean distance of confidence from accuracy, over ``bins`` bins of equal width by confidence; 0 where N is 0.

    Bin i holds confidences in (i / bins, (i + 1) / bins]; each bin's distance |accuracy - mean confidence| weighs by
    its share of the N utterances.
    """
    if not len(label):
        return 0.0
    confidence = probabilities.max(axis=-1).astype(np.float64)
    right = probabilities.argmax(axis=-1) == label
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    distance = np.bincount(place, weights=right - confidence, minlength=bins)  # of a bin, times its size
    return float(np.abs(distance).sum() / len(label))


def _logarithm(probabilities: Floats) -> npt.NDArray[np.float64]:
    """Natural logarithm; what float32 rounded down to 0 counts as the least number above it."""
    return np.log(np.maximum(probabilities.astype(np.float64), float(np.finfo(np.float32).tiny)))


def _softmax(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
