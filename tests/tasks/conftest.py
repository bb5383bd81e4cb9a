"""What the tests of several stages need."""

import pytest

from tasks.errors import WorkflowError
from tasks.storage.lease import Lease


@pytest.fixture
def lost_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks whether its lease still holds learns that another run has taken over."""

    def check(_: Lease) -> None:
        raise WorkflowError("another took over")

    monkeypatch.setattr(Lease, "check", check)
