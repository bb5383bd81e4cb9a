"""Token windows: what a text encoder reads at once, an utterance alone or a stretch of its conversation.

With context the turns of a conversation follow one another in windows of at most so many tokens, and every token is
read once: the encoder sees what was said before and after, and costs about what it costs without context. A window
begins with turns that the one before has read out already, so that its first utterance has a past as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """One input sequence.

    Attributes:
        tokens: token ids, special ones included.
        spans: for each utterance that is read out of it, where its tokens begin and end.
        rows: the utterances' numbers, one for each span.
    """

    tokens: list[int]
    spans: list[tuple[int, int]]
    rows: list[int]


@dataclass(frozen=True)
class SpecialTokens:
    """The tokens around an utterance, and the one that pads a shorter sequence."""

    begin: int
    end: int
    padding: int


def token_windows(
    turns: list[list[int]], rows: list[int], context: int, most_tokens: int, special: SpecialTokens
) -> Iterator[Window]:
    """Cut one conversation into windows. A turn that is too long is cut at its end.

    Args:
        turns: each utterance's token ids, in order.
        rows: the utterances' numbers, one for each turn.
        context: 0: each utterance stands alone. Otherwise a window takes turns as long as they fit, after at most so
            many earlier ones, which may fill half of it.
        most_tokens: most tokens of a window, special ones included.
        special: the tokens that begin a window and end a turn.
    """
    ended = [[*turn[: most_tokens - 2], special.end] for turn in turns]
    first = 0
    while first < len(ended):
        room = min(most_tokens // 2, most_tokens - 1 - len(ended[first]))
        start = first
        while start > max(0, first - context) and room >= len(ended[start - 1]):
            start -= 1
            room -= len(ended[start])
        tokens = [special.begin, *(token for turn in ended[start:first] for token in turn)]
        spans: list[tuple[int, int]] = []
        last = first
        while last < len(ended) and len(tokens) + len(ended[last]) <= most_tokens and (context or not spans):
            spans.append((len(tokens), len(tokens) + len(ended[last])))
            tokens += ended[last]
            last += 1
        yield Window(tokens, spans, rows[first:last])
        first = last
