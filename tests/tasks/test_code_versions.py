"""What a stage makes changes together with its version: else old files would pass for new ones, and nobody would know.

Expected rows lie in `tests/fixtures/expected_rows/`, one file a stage.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.old_workspace import OldWorkspace
from tests.fixtures.stage_rows import GOLDEN, differences, read_expected

_MOST = 5  # differences in a message


@pytest.mark.long
@pytest.mark.parametrize("name", list(GOLDEN))
def test_rows_change_with_their_version_alone(name: str, tmp_path: Path) -> None:
    golden, expected = GOLDEN[name], read_expected(name)
    again = f"run: .venv/bin/python -m tests.fixtures.stage_rows {name}"
    versions = golden.versions()
    assert versions == expected["versions"], f"the expected rows are those of other versions\n  {again}"
    rows = golden.rows(OldWorkspace.unpack(tmp_path))
    found = list(differences(expected["rows"], rows, golden.tolerance))
    assert not found, "\n".join(
        [
            f"the rows of {name} changed: raise {golden.raise_what}, then {again}",
            *(f"  {line}" for line in found[:_MOST]),
        ]
    )


@pytest.mark.parametrize(
    ("expected", "found", "where"),
    [
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.1]}, ".a[1]"),
        ({"a": 1}, {"a": 1, "b": 2}, ".b"),
        ([{"a": "x"}], [{"a": "y"}], "[0].a"),
        ([1], [1, 2], ""),
        (1.0, float("nan"), ""),
        (None, 0.5, ""),
    ],
)
def test_a_difference_is_found_where_it_is(expected: Any, found: Any, where: str) -> None:
    (difference,) = differences(expected, found, 1e-3)
    assert difference.startswith(f"{where}: ")


def test_numbers_within_the_tolerance_are_the_same() -> None:
    assert not list(differences({"a": [1.0, 200.0]}, {"a": [1.0005, 200.1]}, 1e-3))
