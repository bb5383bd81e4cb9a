"""How a table is laid out: which of its columns stand for the canonical ones, and how its values are written."""

import re
from typing import Literal

from pydantic import field_validator, model_validator

from sdt_model.config import Frozen

Column = Literal["conversation_id", "turn", "speaker", "text", "audio", "video", "start_s", "end_s", "emotion", "split",
                 "occurred_at"]  # fmt: skip
EPOCHS = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}
"""Numbers since 1970 by the name of their format, and how many are a second."""
JOINED: dict[Column, str] = {
    "conversation_id": "/", "audio": "/", "video": "/", "speaker": " ", "text": " ", "occurred_at": " ",
}  # fmt: skip
"""The columns that several of a table's may be joined into, and what stands between these."""
PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}", re.ASCII)
# A directive of a time format as a pattern: its digits, of which those in brackets may be left out beside a separator.
_DIRECTIVES = {
    "Y": r"\d{4}", "y": r"\d{2}", "m": r"\d(\d)", "d": r"\d(\d)", "H": r"\d(\d)", "I": r"\d(\d)", "M": r"\d(\d)",
    "S": r"\d(\d)", "f": r"\d{1,6}", "j": r"\d{3}", "b": r"[A-Za-z]{3}", "B": r"[A-Za-z]+", "a": r"[A-Za-z]{3}",
    "A": r"[A-Za-z]+", "p": r"[AaPp][Mm]", "z": r"(?:Z|[+-]\d{2}:?\d{2})", "%": "%",
}  # fmt: skip
_DAY = ({"Y", "y"}, {"m", "b", "B", "j"}, {"d", "j"})


class TableSettings(Frozen):
    """What a table says in another way than with the canonical columns."""

    columns: dict[Column, str | tuple[str, ...]] | None = None
    """Names of a table's columns that differ from the canonical ones, such as {"text": "utterance"}; several that are
    joined, such as {"conversation_id": ["season", "episode", "scene"]}, which gives 1/23/4; null: none differs."""
    number_turns: bool = False
    """Whether a table's utterances are numbered in the order of its rows, each conversation from 0; then it needs no
    column `turn`."""
    file_pattern: str | None = None
    """What the names of a table's files say, such as `calls_{split}.csv`: each {name} is a column, with or without
    `columns`; * stands for anything. Folders such as split=train are columns without it."""
    records: str | None = None
    """Where the rows of a JSON document are: names and stars between dots, such as `episodes.*.scenes.*.utterances.*`;
    a star is every element of a list or object, and its number or name a column: *1 is the first star's. Fields of the
    outer objects are columns too. Null: a list of objects."""
    null_values: tuple[str, ...] | None = None
    """Words that stand for no value, in every column of a table, text included, besides those that always do in all
    but text (NaN, NA, NULL, None and the like); null: only these; []: none at all."""
    time_format: str | None = None
    """How a table writes `occurred_at`: epoch_s, epoch_ms, epoch_us or epoch_ns, or a format such as
    `%d/%m/%Y %H:%M:%S` with Python's directives; null: ISO 8601. Of epochs a moment before 1971 or after 2200 counts as
    not readable."""

    @field_validator("columns")
    @classmethod
    def _joined_where_it_makes_sense(
        cls, columns: dict[Column, str | tuple[str, ...]] | None
    ) -> dict[Column, str | tuple[str, ...]] | None:
        for name, own in (columns or {}).items():
            if not isinstance(own, str) and (name not in JOINED or not own):
                raise ValueError(f"{name} is one column, not several: only {', '.join(JOINED)} can be joined")
        return columns

    @field_validator("null_values", mode="before")
    @classmethod
    def _one_word_or_several(cls, words: object) -> object:
        return (words,) if isinstance(words, str) else words

    @field_validator("time_format")
    @classmethod
    def _says_a_time(cls, form: str | None) -> str | None:
        if form is not None and form not in EPOCHS:
            time_pattern(form)
        return form

    @field_validator("file_pattern")
    @classmethod
    def _names_columns(cls, pattern: str | None) -> str | None:
        names = PLACEHOLDER.findall(pattern or "")
        if pattern is not None and (not names or len(set(names)) < len(names)):
            raise ValueError("write it as calls_{split}.csv: with at least one {name}, and each once")
        return pattern

    @field_validator("records")
    @classmethod
    def _leads_to_rows(cls, records: str | None) -> str | None:
        if records is not None and (not all(records.split(".")) or "*" not in records.split(".")):
            raise ValueError(
                "write it as conversations.*.turns.*: names and stars between dots, with at least one star"
            )
        return records

    @model_validator(mode="after")
    def _turns_come_from_one_place(self) -> "TableSettings":
        if self.number_turns and self.columns and "turn" in self.columns:
            raise ValueError("number_turns numbers the turns, so columns cannot name another for `turn`")
        return self

    def extras(self) -> list[dict[str, object]]:
        """What goes into an archive's fingerprint besides ``columns``: nothing where all is as by default."""
        named = self.model_dump(
            mode="json", exclude_defaults=True, include=set(TableSettings.model_fields) - {"columns"}
        )
        return [named] if named else []


def time_pattern(form: str) -> re.Pattern[str]:
    """Compile what texts of a time format look like. Beside each other numbers have all their digits.

    `datetime.strptime` alone reads 2026111 as %Y%m%d, as one of the two days that it may be.

    Raises:
        ValueError: the format does not say a day, or has a directive whose meaning depends on the machine.
    """
    parts = re.split(r"%(.)", form, flags=re.DOTALL)
    directives = parts[1::2]
    unknown = [name for name in directives if name not in _DIRECTIVES]
    if unknown or parts[-1].endswith("%"):
        known = ", ".join(f"%{name}" for name in _DIRECTIVES)
        raise ValueError(f"there is no directive %{''.join(unknown[:1])}; there are {known}, or {', '.join(EPOCHS)}")
    if not all(day & set(directives) for day in _DAY) or ("I" in directives) != ("p" in directives):
        raise ValueError(f"it has to say year, month and day, and %p with %I; or be one of {', '.join(EPOCHS)}")
    pattern = re.escape(parts[0])
    for place, name in enumerate(directives):
        before, after = parts[2 * place], parts[2 * place + 2]
        beside = (not before and place > 0) or (not after and place + 1 < len(directives)) or after[:1].isdigit()
        pattern += _DIRECTIVES[name].replace("(\\d)", "\\d" if beside else "\\d?") + re.escape(after)
    return re.compile(pattern, re.ASCII)
