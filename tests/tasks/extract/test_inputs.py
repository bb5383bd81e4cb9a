import numpy as np

from tasks.extract.inputs import usable_inputs
from tasks.extractors.base import Extracted
from tests.fixtures.media import utterances


def test_an_empty_text_is_a_reason_and_no_text_is_none() -> None:
    given = usable_inputs(utterances({"text": "yes"}, {"text": " \t\u00a0"}, {"text": ""}, {"text": None}), "text", {})
    assert given.utterances["text"].to_pylist() == ["yes", None, None, None]
    assert given.reasons == [None, "text is empty", "text is empty", None]


def test_a_file_set_aside_is_taken_away_where_it_would_be_read() -> None:
    rows = [{"audio": "a.wav"}, {"audio": "a.wav", "video": "v.mp4"}, {"audio": "b.wav", "video": "a.wav"},
            {"video": "v.mp4"}, {"text": "only"}]  # fmt: skip
    aside = {"a.wav": "it crashed", "other": "it hung"}
    heard = usable_inputs(utterances(*rows), "audio", aside)
    assert heard.reasons == ["it crashed", "it crashed", None, None, None] and heard.aside == {"a.wav"}
    assert heard.utterances["audio"].to_pylist() == [None, None, "b.wav", None, None]
    assert heard.utterances["video"].to_pylist() == [None, None, "a.wav", "v.mp4", None]
    seen = usable_inputs(utterances(*rows), "visual", aside)
    assert seen.reasons == [None, None, "it crashed", None, None]
    assert seen.utterances["audio"].to_pylist() == [row.get("audio") for row in rows]


def test_nothing_to_take_away_is_the_table_itself() -> None:
    table = utterances({"text": "yes", "audio": "a.wav"})
    assert all(usable_inputs(table, modality, {}).utterances is table for modality in ("text", "audio", "visual"))


def test_a_reason_of_its_own_goes_before_the_extractor_s() -> None:
    given = usable_inputs(utterances({"text": ""}, {"text": "no"}, {"text": "yes"}), "text", {})
    made = Extracted(np.ones((3, 1), np.float32), np.array([True, False, True]), [None, "too odd", None])
    found = given.answered(made)
    assert found.reasons == ["text is empty", "too odd", None] and found.valid.tolist() == [False, False, True]
