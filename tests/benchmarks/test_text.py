import pytest

from benchmarks.text import BASELINE, gigaflops, measured, texts_of


@pytest.mark.long
def test_ours_are_the_baseline_s_vectors_and_what_is_computed_is_counted() -> None:
    rows = {row.what: row for row in measured(texts_of(None, 40), parts=2)[0]}
    assert rows[BASELINE].ratio == (1, 1, 1) and rows[BASELINE].cosine == pytest.approx((1, 1))
    assert rows["hf:minilm"].cosine[0] > 0.999 and rows["minilm"].cosine[0] > 0.999
    assert rows["minilm-int8"].cosine[0] > 0.98
    assert all(row.rate > 0 and row.share > 0 for row in rows.values())


def test_a_longer_text_needs_more_in_proportion() -> None:
    one, two = gigaflops(["word"]), gigaflops(["word", "word"])
    assert two == pytest.approx(2 * one)
    # Three tokens, special ones included, times six layers of 1.77 million weights.
    assert one == pytest.approx(2 * 3 * 6 * (4 * 384**2 + 2 * 384 * 1536) / 1e9, rel=0.01)
