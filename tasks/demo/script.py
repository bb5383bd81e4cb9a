"""Who says what with which emotion, and how much of it each modality shows.

An emotion is shown in each modality on its own: clearly in some utterances, and otherwise faintly, as one of the
emotions that look alike in that modality. No two emotions are alike in all three, so each modality helps and none
suffices.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sdt_model.config import MODALITIES, Modality

EMOTIONS = ("neutral", "joy", "sadness", "anger", "surprise", "fear", "disgust")

# Emotions in one group are taken for each other where the modality is not clear.
LOOKALIKES: Mapping[Modality, tuple[tuple[str, ...], ...]] = {
    "text": (("joy", "surprise"), ("anger", "disgust"), ("sadness", "fear", "neutral")),
    "audio": (("joy", "anger", "fear", "surprise"), ("sadness", "disgust", "neutral")),
    "visual": (("fear", "surprise"), ("anger", "disgust", "sadness"), ("joy", "neutral")),
}

_COMMON = np.array([0.25, 0.17, 0.13, 0.14, 0.12, 0.09, 0.10])  # how common each of EMOTIONS is
_INERTIA, _CONTAGION = 0.25, 0.15  # chances to keep one's own last emotion, to take over the other's
_PURPOSES = ("plan", "script", "speaker", *MODALITIES)
_CLEAR = 0.5  # chance that a modality shows the emotion clearly


@dataclass(frozen=True)
class Shown:
    """What one modality shows of an utterance's emotion."""

    emotion: str
    strength: float  # 0 is neutral, 1 the emotion in full


@dataclass(frozen=True)
class Line:
    """One utterance of the script; the speaker is a number within the conversation."""

    conversation: int
    turn: int
    speaker: int
    emotion: str
    shown: Mapping[Modality, Shown] = field(hash=False)


def stream(seed: int, purpose: str, conversation: int = 0, number: int = 0) -> np.random.Generator:
    """Random numbers of their own for every purpose and place, so that no draw moves another."""
    return np.random.default_rng([seed, _PURPOSES.index(purpose), conversation, number])


def write_conversation(seed: int, number: int) -> list[Line]:
    """The script of one conversation: 6 to 14 turns of 2 to 4 speakers, each of whom speaks."""
    rng = stream(seed, "script", number)
    speakers, turns = int(rng.integers(2, 5)), int(rng.integers(6, 15))
    last: dict[int, str] = {}
    lines: list[Line] = []
    for turn in range(turns):
        before = lines[-1] if lines else None
        speaker = turn if turn < speakers else _next_speaker(rng, speakers, lines[-1].speaker)
        emotion = _next_emotion(rng, last.get(speaker), before.emotion if before else None)
        shown = {modality: _show(rng, modality, emotion) for modality in MODALITIES}
        lines.append(Line(number, turn, speaker, emotion, shown))
        last[speaker] = emotion
    return lines


def _next_speaker(rng: np.random.Generator, speakers: int, before: int) -> int:
    return int((before + rng.integers(1, speakers)) % speakers)


def _next_emotion(rng: np.random.Generator, own: str | None, other: str | None) -> str:
    draw = rng.random()
    if own and draw < _INERTIA:
        return own
    if other and _INERTIA <= draw < _INERTIA + _CONTAGION:
        return other
    return str(rng.choice(EMOTIONS, p=_COMMON))


def _show(rng: np.random.Generator, modality: Modality, emotion: str) -> Shown:
    if rng.random() < _CLEAR:
        return Shown(emotion, rng.uniform(0.75, 1.1))
    alike = next(group for group in LOOKALIKES[modality] if emotion in group)
    return Shown(str(rng.choice(alike)), rng.uniform(0.1, 0.5))
