"""Token windows: every utterance is read exactly once, within the limit, and alone where there is no context."""

from hypothesis import given
from hypothesis import strategies as st

from sdt_model.text_encoder.windows import SpecialTokens, token_windows

SPECIAL = SpecialTokens(begin=1, end=2, padding=0)


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(0, 4), st.integers(8, 40))
def test_every_utterance_is_read_once_whole_or_cut_at_its_end(lengths: list[int], context: int, most: int) -> None:
    turns = [[100 + index] * length for index, length in enumerate(lengths)]
    cut = list(token_windows(turns, list(range(len(turns))), context, most, SPECIAL))
    assert [row for window in cut for row in window.rows] == list(range(len(turns)))
    for window in cut:
        assert len(window.tokens) <= most and window.tokens[0] == 1
        assert context or len(window.rows) == 1
        for row, (begin, end) in zip(window.rows, window.spans, strict=True):
            assert window.tokens[begin:end] == [*turns[row][: most - 2], 2]


def test_a_window_begins_with_turns_of_the_one_before() -> None:
    turns = [[10 + index] * 3 for index in range(5)]
    first, second = token_windows(turns, list(range(5)), context=1, most_tokens=13, special=SPECIAL)
    assert first.rows == [0, 1, 2] and first.tokens == [1, 10, 10, 10, 2, 11, 11, 11, 2, 12, 12, 12, 2]
    assert second.rows == [3, 4] and second.tokens[:5] == [1, 12, 12, 12, 2] and second.spans[0] == (5, 9)
