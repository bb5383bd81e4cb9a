"""Which channel to listen to, as a configuration names it and an extractor's name holds it."""

import pytest

from tasks.config.stages import ExtractorNames
from tasks.errors import WorkflowError
from tasks.extractors.media.channels import channel_of, is_channels
from tasks.extractors.registry import chosen_spec, extractor_spec
from tasks.storage.workspace import Workspace


@pytest.mark.parametrize(
    ("channels", "speaker", "expected"),
    [("mean", "x", None), ("2", None, 2), ("a:1,b%3A2:2", "b:2", 2), ("a:1", "other", None), ("a:1", None, None)],
)
def test_the_channel_of_a_speaker(channels: str, speaker: str | None, expected: int | None) -> None:
    assert is_channels(channels) and channel_of(channels, speaker) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "left", "agent", "agent:0", "agent:1,", "1.5"])
def test_what_says_no_channel_is_refused(text: str) -> None:
    assert not is_channels(text)
    with pytest.raises(WorkflowError, match="is neither mean, a number from 1 on, nor agent:1,customer:2"):
        extractor_spec("audio", f"logmel?channels={text}")


def test_a_chosen_channel_is_part_of_the_name_and_of_the_fingerprint_and_the_mean_is_not() -> None:
    workspace = Workspace("memory://channels")

    def of(channels: object) -> tuple[str, str, str]:
        names = ExtractorNames.model_validate({"audio": "logmel", "channels": channels})
        spec = chosen_spec("audio", names, workspace)
        assert chosen_spec("audio", ExtractorNames(audio=spec.name), workspace) == spec  # as a bundle remembers it
        return spec.name, spec.channels, spec.fingerprint

    plain = extractor_spec("audio", "logmel")
    assert of("mean") == ("logmel", "mean", plain.fingerprint)
    second, by_speaker = of(2), of({"b c": 2, "agent": 1})
    assert second[:2] == ("logmel?channels=2", "2")
    assert by_speaker[:2] == ("logmel?channels=agent:1,b%20c:2", "agent:1,b%20c:2")
    assert len({plain.fingerprint, second[2], by_speaker[2]}) == 3
    assert ExtractorNames(channels=2).of("visual") == "hog"
