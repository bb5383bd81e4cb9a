"""Training settings by name, and what is refused."""

import json
from typing import get_args

import pytest
from pydantic import ValidationError

from sdt_model.recipes import RECIPES, RecipeName
from tasks.config.training import TrainConfig


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_s_name_stands_for_its_settings(name: str) -> None:
    config = TrainConfig.model_validate({"archive": "a", "training": name})
    assert config == TrainConfig(archive="a", training=RECIPES[name]())
    assert TrainConfig.model_validate(json.loads(config.model_dump_json())) == config


def test_the_schema_allows_the_names_and_the_fields() -> None:
    assert set(get_args(RecipeName)) == set(RECIPES)
    allowed = TrainConfig.model_json_schema()["properties"]["training"]["anyOf"]
    assert {"enum": list(get_args(RecipeName)), "type": "string"} in allowed
    assert any(option.get("$ref", "").endswith("TrainingConfig") for option in allowed)


def test_another_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match="there is no recipe 'melt'; there are: meld, meld-text, iemocap, demo"):
        TrainConfig.model_validate({"archive": "a", "training": "melt"})
