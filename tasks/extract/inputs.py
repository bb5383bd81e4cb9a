"""What an extractor is shown: no empty text, and no file that was set aside; what is left out has a reason."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sdt_model.config import Modality
from tasks.extractors.base import Extracted

EMPTY = "text is empty"


@dataclass(frozen=True)
class Inputs:
    """Utterances with nulls in place of what an extractor must not be shown.

    Attributes:
        utterances: rows of `tasks.archive.schema.UTTERANCES`, as many as there were.
        reasons: for each row why something was taken away, or None.
        aside: the files among those set aside that some row names.
    """

    utterances: pa.Table
    reasons: list[str | None]
    aside: set[str]

    def answered(self, extracted: Extracted) -> Extracted:
        """The extractor's vectors, with the reasons that it could not know."""
        untouched = np.array([reason is None for reason in self.reasons], bool)
        reasons = [mine or its for mine, its in zip(self.reasons, extracted.reasons, strict=True)]
        return Extracted(extracted.vectors, extracted.valid & untouched, reasons)


def usable_inputs(utterances: pa.Table, modality: Modality, aside: dict[str, str]) -> Inputs:
    """Take empty texts, or files that were set aside, from a modality's inputs.

    Args:
        utterances: rows of `tasks.archive.schema.UTTERANCES`.
        modality: whose columns to look at.
        aside: files not to be opened, and why.
    """
    if modality == "text":
        texts = utterances["text"]
        blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(texts), ""), False)
        reasons = [EMPTY if flag else None for flag in blank.to_pylist()]
        return Inputs(_without(utterances, ("text",), reasons), reasons, set())
    columns = ("audio", "video") if modality == "audio" else ("video",)
    named = pc.coalesce(*(utterances[name] for name in columns)).to_pylist()
    reasons = [aside.get(uri) for uri in named]
    return Inputs(_without(utterances, columns, reasons), reasons, aside.keys() & set(named))


def _without(table: pa.Table, columns: tuple[str, ...], reasons: list[str | None]) -> pa.Table:
    if not any(reasons):
        return table
    untouched = pa.array([reason is None for reason in reasons])
    for name in columns:
        field = table.schema.field(name)
        nothing = pa.scalar(None, field.type)
        table = table.set_column(table.schema.get_field_index(name), field, pc.if_else(untouched, table[name], nothing))
    return table
