"""What stands for no value in a table.

A float that is not a number always does. A word does by what software writes for it, in every column but text: people
say "NA" and "null". Words that a user lists count in text too.
"""

from collections.abc import Collection

import polars as pl

from tasks.config.tables import TableSettings

# As pandas, R, spreadsheets and databases write it; in this spelling alone, for `none` is an emotion.
WORDS = ("NaN", "nan", "-nan", "-NaN", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaT", "NULL", "null", "(null)", "[NULL]",
         "<null>", "None", "\\N", "#VALUE!", "#REF!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!")  # fmt: skip
_NO_NAME = ("Nan", "NAN")  # where it is not someone's: what becomes of nan where classes are written in capitals


def null_words(table: TableSettings, column: str) -> tuple[str, ...]:
    """The words that stand for no value in a canonical column of a table; none where an empty list is set."""
    named = table.null_values
    if named == () or column == "text":
        return named or ()
    return (*WORDS, *(() if column == "speaker" else _NO_NAME), *(named or ()))


def has_value(column: pl.Expr, words: Collection[str]) -> pl.Expr:
    """Whether a text is neither null nor blank nor one of the words."""
    stripped = column.str.strip_chars()
    return column.is_not_null() & (stripped != "") & ~stripped.is_in(list(words))
