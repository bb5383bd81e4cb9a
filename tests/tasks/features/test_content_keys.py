import os
from dataclasses import replace
from pathlib import Path

import pytest

from sdt_model.config import Modality
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.registry import extractor_spec
from tasks.features.content_keys import Keys, content_keys
from tests.fixtures.media import utterances

NAMES: dict[Modality, str] = {"text": "minilm", "audio": "logmel", "visual": "hog"}


def keys(modality: Modality, *rows: dict[str, object], media: Path = Path("/nowhere"), whole: bool = False) -> Keys:
    spec = extractor_spec(modality, NAMES[modality])
    table = utterances(*rows)
    return content_keys(table, replace(spec, reads="conversation") if whole else spec, MediaRoot(str(media)))


def test_a_text_s_key_is_that_of_its_words_alone() -> None:
    found = keys("text", {"text": "so", "speaker": "A"}, {"text": "so", "end_s": 3.0}, {"text": "So"}, {})
    assert found[0] == found[1] != found[2] and found[3] is None
    assert found[0] is not None and len(found[0]) == 16


def test_where_a_conversation_is_read_a_key_follows_all_that_is_said_in_it_and_by_whom() -> None:
    rows = [{"conversation_id": "c", "speaker": "A", "text": "so"}, {"conversation_id": "c"}]
    rows += [{"conversation_id": "c", "speaker": "B", "text": "so"}, {"conversation_id": "d", "text": "so"}]
    first = keys("text", *rows, whole=True)
    assert first[1] is None and len(set(first)) == 4
    assert keys("text", rows[0], *rows[2:], whole=True) == [first[0], *first[2:]]  # one without a text is not read
    for change in ({"speaker": "C"}, {"text": "no"}, {"conversation_id": "b"}):
        other = keys("text", rows[0] | change, *rows[1:], whole=True)
        assert other[0] != first[0] and other[2] != first[2] and other[3] == first[3]


@pytest.mark.parametrize("modality", ["audio", "visual"])
def test_a_recording_s_key_follows_its_content_and_the_stretch(tmp_path: Path, modality: Modality) -> None:
    column = "audio" if modality == "audio" else "video"
    rows = [{column: "x"}, {column: "x", "start_s": 1.0}, {column: "x", "start_s": 1.0, "end_s": 2.0}, {column: "y"}]
    (tmp_path / "x").write_bytes(b"some")
    first = keys(modality, *rows, {"text": "so"}, media=tmp_path)
    assert len(set(first)) == 5 and first[4] is None
    (tmp_path / "x").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "x")
    assert keys(modality, *rows, media=tmp_path) == first[:4]  # what cannot be read has a key as well
    (tmp_path / "y").write_bytes(b"here now")
    os.utime(tmp_path / "x", (1, 1))
    later = keys(modality, *rows, media=tmp_path)
    assert not set(first) & set(later)


def test_a_video_s_sound_counts_where_there_is_no_other(tmp_path: Path) -> None:
    video, both, sound = keys("audio", {"video": "x"}, {"audio": "y", "video": "x"}, {"audio": "y"}, media=tmp_path)
    assert both == sound != video is not None
