"""The last runs of our flows, as the Prefect server knows them."""

from collections.abc import Sequence
from datetime import datetime

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL

Row = tuple[str, str, str, str, str]
HEADER = ("run", "flow", "began", "state", "because")
_MOST_SAID = 100


def last_runs(most: int) -> Sequence[Row] | None:
    """The latest runs that have begun, the last first; None where no server is named."""
    if not PREFECT_API_URL.value():
        return None
    ours = FlowFilter(name=FlowFilterName(like_="sdt-"))
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_filter=ours, sort=FlowRunSort.START_TIME_DESC, limit=most)
        names = {run.flow_id: client.read_flow(run.flow_id).name for run in found}
    return [
        (
            run.name,
            names[run.flow_id],
            _time(run.start_time),
            run.state_name or "",
            _said(run.state.message if run.state else None),
        )
        for run in found
    ]


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def _said(message: str | None) -> str:
    lines = (message or "").splitlines()
    return lines[0][:_MOST_SAID] if lines else ""
