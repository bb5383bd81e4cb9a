"""Which channel of a recording to listen to, as it is written in an extractor's name.

``mean`` of all; a number, 1 for the first; or a number for each speaker, ``agent:1,customer:2``, the mean for others.
"""

from urllib.parse import unquote

MEAN = "mean"


def channel_of(channels: str, speaker: str | None) -> int | None:
    """The channel of a speaker; None: the mean of all."""
    if channels.isdecimal():
        return int(channels)
    return _by_speaker(channels).get(speaker or "")


def is_channels(text: str) -> bool:
    """Whether a text says which channel to listen to."""
    if text == MEAN or (text.isdecimal() and int(text)):
        return True
    pairs = [pair.rpartition(":") for pair in text.split(",")]
    return all(name and number.isdecimal() and int(number) for name, _, number in pairs)


def _by_speaker(channels: str) -> dict[str, int]:
    pairs = [pair.rpartition(":") for pair in channels.split(",")] if channels != MEAN else []
    return {unquote(name): int(number) for name, _, number in pairs}
