"""One place decides who runs a flow: this process alone, or Prefect, where the URL of a server is named.

A flow's body is written once, and neither it nor the stages know which of the two it is. The decision is made when a
flow is called, and its sub-flows follow it. Without a server nothing of Prefect is imported.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from flows.orchestration.api_url import api_url
from flows.orchestration.run_history import recorded
from flows.run_state import Outcome
from tasks.config.stages import RunSettings
from tasks.executor.cluster import ray_scope

if TYPE_CHECKING:
    from prefect import Flow as PrefectFlow

Settings = TypeVar("Settings", bound=RunSettings)
Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")


@dataclass
class Run:
    """A run of a flow, while it is under way and when it has ended.

    Attributes:
        flow: name of the flow.
        name: readable, as Prefect's page and leases show it.
        scheduled: when it was to begin; of a run that nobody scheduled, when it began.
        orchestrated: whether Prefect runs it.
        page: its page in Prefect, and ``deployment`` the deployment's name, where there are such.
        outcome: what its body said when it came to its end.
    """

    flow: str
    name: str
    scheduled: datetime
    orchestrated: bool
    page: str | None = None
    deployment: str | None = None
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    outcome: Outcome | None = None


_CURRENT: ContextVar[Run | None] = ContextVar("run", default=None)
_ENDED: ContextVar[list[Run] | None] = ContextVar("ended", default=None)


def current_run() -> Run:
    """The run whose body asks.

    Raises:
        RuntimeError: no flow is under way.
    """
    if (run := _CURRENT.get()) is None:
        raise RuntimeError("no flow is under way")
    return run


class Flow(Generic[Settings, Result]):
    """A flow: its name, and a body that takes the configuration and returns what was made."""

    def __init__(self, name: str, body: Callable[[Settings], Result]) -> None:
        self.name, self.body = name, body
        self.__doc__, self.__module__, self.__qualname__ = body.__doc__, body.__module__, body.__qualname__

    def __call__(self, config: Settings) -> Result:
        return self.run(config)[0]

    def run(self, config: Settings) -> tuple[Result, Run]:
        """Run it here, or by Prefect; its result, and the run with its outcome."""
        outer, url = _CURRENT.get(), None
        if outer is None and (url := api_url()) is None:
            return self.run_body(config, Run(self.name, _new_name(self.name), datetime.now(UTC), False))
        if outer is not None and not outer.orchestrated:
            return self.run_body(config, Run(self.name, outer.name, outer.scheduled, False))
        if url is not None:
            from flows.orchestration.prefect_engine import use_server

            use_server(url)
        ended: list[Run] = []
        with _set(_ENDED, ended):
            flow: Any = self.prefect
            result: Result = flow(config)
        return result, ended[-1]

    def run_body(self, config: Settings, run: Run) -> tuple[Result, Run]:
        """Run the body as ``run``, which is then its `current_run`; unless it is part of another, there is a record."""
        record = recorded(run, config) if _CURRENT.get() is None else nullcontext()
        with record, _set(_CURRENT, run), ray_scope():
            result = self.body(config)
        if (ended := _ENDED.get()) is not None:
            ended.append(run)
        return result, run

    @cached_property
    def prefect(self) -> "PrefectFlow[Any, Any]":
        """The same as a flow of Prefect's."""
        from flows.orchestration.prefect_engine import as_prefect_flow

        return as_prefect_flow(self)


def flow(name: str) -> Callable[[Callable[[Settings], Result]], Flow[Settings, Result]]:
    """Make a flow of a function.

    Prefect loads a deployment's entrypoint (`flows/train.py:train_flow`) from its file, as a module that is not in the
    package, and wants a flow of its own there. Who imports the module gets one that decides when it is called.
    """

    def decorate(body: Callable[[Settings], Result]) -> Flow[Settings, Result]:
        ours = Flow(name, body)
        imported = body.__module__.partition(".")[0] == "flows"
        return ours if imported else cast(Flow[Settings, Result], ours.prefect)

    return decorate


def run_task(
    name: str, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Call a stage, as a task of Prefect's of that name where Prefect runs the flow."""
    if not current_run().orchestrated:
        return function(*args, **kwargs)
    from flows.orchestration.prefect_engine import as_prefect_task

    return as_prefect_task(name, function)(*args, **kwargs)


def conclude(outcome: Outcome) -> None:
    """Say what became of the run, at the end of its body; its page becomes an artifact where Prefect runs the flow."""
    run = current_run()
    run.outcome = outcome
    if run.orchestrated:
        from flows.orchestration.prefect_engine import publish

        publish(run, outcome)


def _new_name(flow: str) -> str:
    return f"{flow.removeprefix('sdt-')}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@contextmanager
def _set(variable: ContextVar[Any], value: object) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
