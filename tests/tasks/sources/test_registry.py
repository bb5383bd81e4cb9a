"""Sources by name: each kind opens, and one that there is not is refused with those that there are."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.config.sources import KIND_HELP, SOURCES
from tasks.config.stages import IngestConfig
from tasks.errors import WorkflowError
from tasks.sources.base import FeatureSource
from tasks.sources.registry import source


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_opens_and_says_what_it_expects_of_an_empty_folder(kind: str, tmp_path: Path) -> None:
    assert IngestConfig(kind=kind, path="x", archive="a").kind == kind
    with pytest.raises(WorkflowError, match=r"holds no such file\n  expected: "):
        source(kind).files(str(tmp_path), None)


def test_the_published_pickles_alone_hold_features() -> None:
    assert [kind for kind in SOURCES if isinstance(source(kind), FeatureSource)] == ["sdt-pickle"]


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValidationError) as error:
        IngestConfig(kind="tabel", path="x", archive="a")
    assert all(repr(kind) in str(error.value) for kind in SOURCES)


def test_help_and_the_form_in_prefect_name_every_kind() -> None:
    field = IngestConfig.model_json_schema()["properties"]["kind"]
    assert field["enum"] == list(SOURCES) and field["description"] == KIND_HELP
    assert all(f"`{kind}`, {entry.summary}" in KIND_HELP for kind, entry in SOURCES.items())
