"""Typed values as the text that utterances are typed from again, the same for JSON and Parquet.

A column is a number on its way through software that has no null for integers: 3 comes back as 3.0, and 10 ** 13 as
1e13. In a column that names something, such a float is the integer that it was, as far as it tells it from the next.
"""

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from tasks.config.tables import Column
from tasks.sources.base import is_unicode

NAMING: frozenset[str] = frozenset({"conversation_id", "turn", "speaker", "emotion", "split"})
TIMES: frozenset[str] = frozenset({"start_s", "end_s", "occurred_at"})
Roles = Mapping[str, Collection[Column]]
"""For each of a table's columns that is used, the canonical ones that it stands for."""


class Unusable(ValueError):
    """A value that has no place in an utterance; says which, in words for its row."""


def inexact(bits: int) -> str:
    """Say why a float of so many digits does not name anything."""
    return f"a float beyond 2 ** {bits}, whose last digits are lost: write it as text or as an integer"


def as_text(value: Any, roles: Collection[Column]) -> str | None:
    """Write a JSON value as text; None where it stands for no value.

    Raises:
        Unusable: it has no place in a column of these roles.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        if not is_unicode(value):
            raise Unusable("is not valid Unicode")
        return value
    if isinstance(value, list) and set(roles) == {"speaker"} and all(isinstance(name, str) for name in value):
        return json.dumps(value)
    if isinstance(value, list | dict):
        raise Unusable(f"holds a {type(value).__name__}")
    if isinstance(value, float) and math.isinf(value) and not TIMES.issuperset(roles):
        raise Unusable("holds an infinite number")
    if isinstance(value, float) and value.is_integer() and not (NAMING | TIMES).isdisjoint(roles):
        if abs(value) >= 2**53 and not NAMING.isdisjoint(roles):
            raise Unusable(f"holds '{value!r}', {inexact(53)}")
        return str(int(value))
    return json.dumps(value)
