"""What stands for no value in a table.

A float that is not a number always does. A word does by what software writes for it, in every column but text: people
say "NA" and "null". Words that a user lists count in text too.
"""

from collections.abc import Collection

import polars as pl

from tasks.config.tables import TableSettings

# As pandas, R, Excel and databases write it; in this spelling alone, for Nan is a name and `none` an emotion.
WORDS = ("NaN", "nan", "-nan", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaT", "NULL", "null", "None", "\\N")


def null_words(table: TableSettings, column: str) -> tuple[str, ...]:
    """The words that stand for no value in a canonical column of a table."""
    named = table.null_values
    if named is None:
        return () if column == "text" else WORDS
    return () if not named else named if column == "text" else (*WORDS, *named)


def has_value(column: pl.Expr, words: Collection[str]) -> pl.Expr:
    """Whether a text is neither null nor blank nor one of the words."""
    stripped = column.str.strip_chars()
    return column.is_not_null() & (stripped != "") & ~stripped.is_in(list(words))
