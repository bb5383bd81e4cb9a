"""A stretch of days, as a person asks for it; days are UTC, and written as in the folders of the labels."""

from datetime import date

from sdt_model.config import Frozen

UNDATED = "__HIVE_DEFAULT_PARTITION__"  # what Hive calls the partition of a null


class DateRange(Frozen):
    """Days from ``since`` to ``until``, both included; without either it is every day, and what has no date too."""

    since: date | None = None
    until: date | None = None

    def contains(self, day: str) -> bool:
        if self.since is None and self.until is None:
            return True
        first, last = self._ends
        return day != UNDATED and first <= day <= last

    def overlaps(self, other: "DateRange") -> bool:
        first, last = self._ends
        others_first, others_last = other._ends
        return first <= others_last and others_first <= last

    @property
    def _ends(self) -> tuple[str, str]:
        return (self.since or date.min).isoformat(), (self.until or date.max).isoformat()

    def __str__(self) -> str:
        if self.since and self.until:
            return f"{self.since}" if self.since == self.until else f"{self.since} to {self.until}"
        return f"days since {self.since}" if self.since else f"days until {self.until}" if self.until else "every day"
