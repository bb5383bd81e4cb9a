"""What Prefect's server does by itself when a run falls silent."""

import re

import yaml

from flows.run_state import WITH_FAULTS, WITH_WARNING
from tests.fixtures.deploy.files import DEPLOY

FILE = yaml.safe_load((DEPLOY / "automations.yaml").read_text())["automations"]


def test_a_run_that_is_silent_for_three_heartbeats_is_crashed_and_one_that_ended_is_not() -> None:
    from prefect.client.schemas.objects import TERMINAL_STATES
    from prefect.events.schemas.automations import AutomationCore, EventTrigger
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY

    (automation,) = (AutomationCore.model_validate(each) for each in FILE)
    trigger = automation.trigger
    assert isinstance(trigger, EventTrigger) and trigger.after == {"prefect.flow-run.heartbeat"} <= trigger.expect
    ends = {state.value.capitalize() for state in TERMINAL_STATES} | {WITH_FAULTS, WITH_WARNING}
    assert {f"prefect.flow-run.{end}" for end in ends} <= trigger.expect
    every = PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value()
    assert every is not None and 3 * every < trigger.within.total_seconds() < 4 * every
    (action,) = automation.actions
    assert (action.type, action.state.value) == ("change-flow-run-state", "CRASHED")


def test_it_is_made_under_the_name_that_it_is_looked_for() -> None:
    looked_for = re.findall(r"automation inspect (\S+)", (DEPLOY / "register.sh").read_text())
    assert looked_for == [each["name"] for each in FILE]
