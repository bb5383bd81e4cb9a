"""Mono sound out of several channels: their mean, one of them, or the loudest where the others cancel it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.extractors.media.span import MediaFault

Samples = npt.NDArray[np.float32]
# Power of the mean below this share of what unrelated channels would give: one is about the negative of another.
_CANCELLED = 0.1


class Mix:
    """The sound of a stretch, gathered block by block.

    Attributes:
        channel: which to listen to, 1 for the first; None: the mean of all.
        rate: in Hz, of the blocks so far.
        notes: what its decoder has to say of it.
        stated: seconds that the file says its sound lasts, where that is no guess.
    """

    def __init__(self, channel: int | None) -> None:
        self.channel, self.rate = channel, 1
        self.notes: list[str] = []
        self.stated: float | None = None
        self._parts: list[Samples] = []
        self._powers: npt.NDArray[np.float64] | None = None
        self._mixed = 0.0

    def add(self, block: npt.NDArray[Any], rate: int) -> None:
        """Add a block of channels (C, N), where full scale is 1.

        Raises:
            MediaFault: the sound has several channels, and not the one to listen to; or changes its rate.
        """
        if self._parts and rate != self.rate:
            raise MediaFault(f"sound changes its rate: {self.rate}, {rate} Hz")
        self.rate = rate
        if self.channel is not None and len(block) == 1 < self.channel and not self.notes:
            self.notes.append(f"the sound of its only channel, and not of channel {self.channel}")
        if self.channel is not None and len(block) > 1:
            if self.channel > len(block):
                raise MediaFault(f"has {len(block)} channels, and not the channel {self.channel}")
            block = block[self.channel - 1 : self.channel]
        # The dtype is the block's: as sound of 32 bits or of 64 is added up, so it always was.
        mixed = block.mean(axis=0)
        self._parts.append(mixed.astype(np.float32, copy=False))
        if len(block) > 1:
            powers = np.array([_power(channel) for channel in block])
            self._powers = powers if self._powers is None or len(self._powers) != len(powers) else self._powers + powers
            self._mixed += _power(mixed)

    @property
    def seconds(self) -> float:
        """How much was added."""
        return sum(map(len, self._parts)) / self.rate

    @property
    def samples(self) -> Samples:
        """All of it as one channel (N,)."""
        return np.concatenate([np.zeros(0, np.float32), *self._parts])

    def loudest_of_cancelled(self) -> int | None:
        """The channel to listen to instead, where channels cancel each other in the mean; None where they do not."""
        if self._powers is None or self._mixed >= _CANCELLED * self._powers.sum() / len(self._powers) ** 2:
            return None
        return int(self._powers.argmax()) + 1


def _power(samples: npt.NDArray[Any]) -> float:
    return float(np.dot(samples, samples))
