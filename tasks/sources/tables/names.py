"""Names of columns as people write them: in another case, or with blanks around, where that leaves no doubt."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile


@dataclass(frozen=True)
class Names:
    """The columns that are used of a table.

    Attributes:
        used: their names.
        chosen: those that `columns` names: where one stands so, whatever else differs by case alone is another.
    """

    used: Collection[str]
    chosen: Collection[str] = ()

    def of(self, file: SourceFile, present: Iterable[str]) -> dict[str, str]:
        """Find which of a file's columns are used ones that are written in another way, and as which.

        Raises:
            WorkflowError: two columns differ by case alone, or by blanks around them.
        """
        written: dict[str, list[str]] = {}
        for own in present:
            written.setdefault(folded(own), []).append(own)
        wanted = [folded(name) for name in self.used]
        renamed = {}
        for name, key in zip(self.used, wanted, strict=True):
            ways = list(dict.fromkeys(written.get(key, ())))
            if not ways or (name in ways and name in self.chosen) or wanted.count(key) > 1:
                continue
            if len(ways) > 1:
                raise WorkflowError(
                    f"{file.url}: the columns {' and '.join(map(repr, ways))} differ by case or blanks alone\n"
                    f'  say which is {name}: --set \'columns={{"{name}": "..."}}\', or rename one'
                )
            if ways[0] != name:
                renamed[ways[0]] = name
        return renamed


AS_WRITTEN = Names(())


def folded(name: str) -> str:
    """A name without what is often written otherwise."""
    return name.strip().casefold()


def likely(missing: Iterable[str], present: Iterable[str]) -> str:
    """Name the columns that a table may mean by those that it lacks, as a line of an error; empty where none are."""
    letters = {re.sub(r"[\W_]", "", own.casefold()): own for own in present}
    meant = {name: letters.get(re.sub(r"[\W_]", "", name.casefold())) for name in missing}
    pairs = ", ".join(f'"{name}": "{own}"' for name, own in meant.items() if own is not None)
    return f"\n  if that is what they mean: --set 'columns={{{pairs}}}'" if pairs else ""
