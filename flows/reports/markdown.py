"""What pages are made of: tables that Markdown understands and that also line up as plain text."""

from collections.abc import Iterable, Sequence

from sdt_model.markdown import escaped
from tasks.config.stages import RunSettings
from tasks.storage.workspace import Workspace


def place(what: str, config: RunSettings, path: str) -> str:
    """Where something lies in the workspace, as a person would write it."""
    return f"{what}: `{Workspace(config.workspace).uri(path).replace('`', '%60')}`"


def together(blocks: Iterable[str]) -> str:
    """Blocks one below the other."""
    return "\n\n".join(blocks)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table whose columns also line up as plain text; numbers stand to the right."""
    named, written = [escaped(name) for name in header], [[_cell(value) for value in row] for row in rows]
    widths = [max(3, *(len(row[i]) for row in (named, *written))) for i in range(len(named))]
    right = [all(row[i].lstrip("+-")[:1].isdigit() for row in written if row[i]) for i in range(len(named))]

    def line(cells: Sequence[str]) -> str:
        padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = [f"{'-' * (width - 1)}{':' if flag else '-'}" for width, flag in zip(widths, right, strict=True)]
    return "\n".join([line(named), line(rule), *(line(row) for row in written)])


def table_of_some(header: Sequence[str], rows: Sequence[Sequence[object]], most: int, latest: bool = False) -> str:
    """A table of the first rows, or of the last, and how many more there are."""
    shown = table(header, rows[-most:] if latest else rows[:most])
    return together([shown, f"and {len(rows) - most:,} more"] if len(rows) > most else [shown])


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else escaped(str(value))
