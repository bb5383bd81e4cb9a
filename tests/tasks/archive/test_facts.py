"""Facts as the stages of earlier versions wrote them are read, and written again to the same JSON."""

import json

import pytest
from pydantic import ValidationError

from tasks.archive.facts import DatedShardFacts, DayContent, FeatureFacts, IngestFacts, LabelFacts, UtteranceShardFacts
from tasks.storage.manifest import Facts, Manifest, ShardFacts

DAYS = """"days": {
    "2026-03-02": {"content": "00000000529c0ceec47df7c5b521a4a8", "rows": 3},
    "__HIVE_DEFAULT_PARTITION__": {"content": "d0f2e6e3ea9f0b18dbae79160409a355", "rows": 3}
}"""
ASIDE = '"aside": {"a.wav": {"reason": "its decoder crashed", "version": null}}'
FEATURES = """{
    "archive_fingerprint": "8c8efca102c14422", "dim": 384, "extractor": "minilm",
    "extractor_fingerprint": "49e15ed028f7ee69", "licence": "Apache-2.0", "modality": "text", "storage": "float32"
}"""
WRITTEN: dict[str, tuple[type[Facts], str]] = {
    "an archive": (IngestFacts, '{"kind": "table", "media_root": "/calls", "sources": ["a.csv", "b.csv"]}'),
    "an archive that came with features": (
        IngestFacts,
        """{
            "given": [{"dim": 100, "fingerprint": "0123456789abcdef", "modality": "text"}], "kind": "sdt-pickle",
            "layout": "MELD", "media_root": "/calls", "sources": ["a.pkl"]
        }""",
    ),
    "features": (FeatureFacts, FEATURES),
    "labels": (
        LabelFacts,
        """{
            "archive": "a", "content": "6510facdf72903fe", "day": "2026-03-01", "emotions": ["anger", "joy"],
            "model_id": "sdt-one"
        }""",
    ),
    "a shard of utterances": (
        UtteranceShardFacts,
        f'{{"conversations": 2, {DAYS}, "emotions": {{"anger": 2, "joy": 2}}, "splits": [null, "dev"]}}',
    ),
    "an empty shard of utterances": (
        UtteranceShardFacts, '{"conversations": 0, "days": {}, "emotions": {}, "splits": []}'
    ),
    "a shard of features": (DatedShardFacts, f"{{{DAYS}}}"),
    "a shard of features that was made without a file": (DatedShardFacts, f"{{{ASIDE}, {DAYS}}}"),
    "a shard of labels": (ShardFacts, "{}"),
}  # fmt: skip


def manifest(facts: str, fingerprint: str = "f") -> Manifest:
    return Manifest(stage="s", fingerprint=fingerprint, shards=(), columns={}, facts=json.loads(facts))


@pytest.mark.parametrize("name", WRITTEN)
def test_what_an_earlier_version_wrote_is_written_the_same_again(name: str) -> None:
    kind, text = WRITTEN[name]
    facts = kind.of(manifest(text))
    assert json.dumps(facts.plain(), sort_keys=True) == json.dumps(json.loads(text), sort_keys=True)


def test_fields_of_earlier_and_later_versions() -> None:
    assert IngestFacts.of(manifest('{"media_root": "/calls", "later": 1}')) == IngestFacts(media_root="/calls")
    assert DatedShardFacts.of(manifest('{"dates": ["2026-03-01"]}')).days is None
    with pytest.raises(ValidationError, match="media_root"):
        IngestFacts.of(manifest("{}"))


def test_a_day_s_sum_is_a_number_here_and_hexadecimal_on_disk() -> None:
    day = DayContent(rows=1, content=255)
    assert day.model_dump(mode="json") == {"rows": 1, "content": f"{255:032x}"}
    assert DayContent.model_validate(day.model_dump(mode="json")) == day


def test_a_manifest_knows_which_archive_it_was_made_of() -> None:
    features = manifest(FEATURES)
    assert features.is_of(manifest("{}", "8c8efca102c14422")) and not features.is_of(manifest("{}", "grown"))
    assert not manifest("{}").is_of(manifest("{}"))
