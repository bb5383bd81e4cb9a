"""Prefect's side of a run; the runs themselves are tried in test_flow."""

import pytest

from tasks.errors import WorkflowError
from tests.fixtures.services.gateway import free_port


@pytest.mark.long
def test_a_server_that_does_not_answer_is_named_with_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.orchestration.prefect_engine import use_server

    url = f"http://127.0.0.1:{free_port()}/api"
    monkeypatch.setenv("PREFECT_API_URL", url)
    with pytest.raises(WorkflowError, match=rf"{url} does not answer[\s\S]*PREFECT_API_URL="):
        use_server(url)
