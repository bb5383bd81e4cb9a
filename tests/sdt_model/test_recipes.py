from typing import get_args

import pytest

from sdt_model.recipes import RECIPES, RecipeName, recipe
from tasks.storage.manifest import fingerprint

# What the id of a model that was trained with a recipe is made of: a change here makes every user train again.
FINGERPRINTS = {
    "meld": "0f782570065c4d98",
    "meld-text": "a4f761dcf5b7532a",
    "iemocap": "bea00b22b3a81c24",
    "demo": "2e24e6485df230a4",
}


def test_the_names_are_those_of_the_schema() -> None:
    assert tuple(RECIPES) == get_args(RecipeName)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_the_model_that_it_always_trained(name: str) -> None:
    assert fingerprint(recipe(name)) == FINGERPRINTS[name]


def test_a_name_of_no_recipe_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="there is no recipe 'melt'; there are: meld, meld-text, iemocap, demo"):
        recipe("melt")
