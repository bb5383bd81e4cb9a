"""The Prefect side of `flows.orchestration.flow`; imported only where Prefect runs a flow."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect import Flow, context, get_client, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging.configuration import setup_logging
from prefect.runtime import deployment, flow_run
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Completed
from prefect.utilities.hashing import file_hash
from prefect.utilities.urls import url_for

from flows.reports.markdown import together
from flows.reports.pages import throughput
from flows.run_state import COMPLETED, Outcome
from tasks.errors import WorkflowError
from tasks.executor.progress import told_if_slow
from tasks.registry.runs import without_secrets

if TYPE_CHECKING:
    from flows.orchestration.flow import Flow as OurFlow
    from flows.orchestration.flow import Run

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_CONNECT_S, _ANSWER_S = 6.0, 60.0
_ONE_RETRY = {PREFECT_CLIENT_MAX_RETRIES: 1}


def as_prefect_flow(flow: "OurFlow[Any, Result]") -> "Flow[Any, Result]":
    """A flow of Prefect's with the body of ours: same name, parameters, description, and version of its file."""
    from flows.orchestration.flow import Run

    @wraps(flow.body)
    def body(config: Any) -> Any:
        scheduled = flow_run.scheduled_start_time.astimezone(UTC)
        place = {"page": url_for("flow-run", flow_run.id), "deployment": deployment.name}
        result, run = flow.run_body(config, Run(flow.name, flow_run.name or "", scheduled, True, **place))
        outcome = run.outcome
        if outcome is None or outcome.state == COMPLETED:
            return result
        # Prefect unpacks the state: who calls the flow is given the result.
        return Completed(name=outcome.state, message=outcome.message, data=result)

    source = inspect.getsourcefile(flow.body)
    return Flow(body, name=flow.name, version=file_hash(source) if source else None, persist_result=False)


def as_prefect_task(name: str, function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """A function as a task whose results Prefect neither keeps nor reuses: finding what is done is the stage's work."""
    return task(name=name, task_run_name=name, persist_result=False, cache_policy=NO_CACHE)(function)


def publish(run: "Run", outcome: Outcome) -> None:
    """Attach the page to the flow run; where it went through utterances, also how fast."""
    page, title = outcome.page, outcome.page.split("\n", 1)[0].lstrip("# ")
    if outcome.rows:
        page = together([page, throughput(outcome.rows, (datetime.now(UTC) - run.began).total_seconds())])
    create_markdown_artifact(markdown=page, key=run.flow, description=title)


def use_server(url: str) -> None:
    """Have Prefect report to this server, also where it was imported before the server was named.

    Raises:
        WorkflowError: the server does not answer.
    """
    if PREFECT_API_URL.value() != url:
        context.refresh_global_settings_context()
        setup_logging(incremental=False)
    # A server that is not there is told from a slow one: it does not even take the connection.
    patience = {"timeout": (_CONNECT_S, _ANSWER_S, _ANSWER_S, _ANSWER_S)}  # to connect, read, write, get a connection
    with (
        told_if_slow(f"waiting for the Prefect server at {without_secrets(url)}"),
        temporary_settings(_ONE_RETRY),
        get_client(httpx_settings=patience, sync_client=True) as client,
    ):
        fault = client.api_healthcheck()
    if fault is not None:
        raise WorkflowError(
            f"the Prefect server at {without_secrets(url)} does not answer: {fault}\n"
            "  PREFECT_API_URL or the active Prefect profile names it\n"
            "  see that it is up, or run without one: PREFECT_API_URL= sdt ..."
        )
