"""Who runs a flow: this process alone, or Prefect."""

from flows.orchestration.flow import Flow, Run, conclude, current_run, flow, run_task

__all__ = ["Flow", "Run", "conclude", "current_run", "flow", "run_task"]
