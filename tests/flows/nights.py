"""A few nights in a process of their own: `python -m tests.flows.nights WORKSPACE SOURCE NIGHTS`.

A night is what arrives before it (files that go into the source), the day it labels, and a model that goes into
production before it. After each night its report is printed, one JSON object a line.
"""

import json
import shutil
import sys
from pathlib import Path

from flows.runtime import prepare_environment


def main(url: str, source: Path, nights: list[tuple[list[str], str, str | None]]) -> None:
    prepare_environment()
    from flows.nightly import nightly_flow
    from tasks.cluster import connected
    from tasks.config import RayConfig
    from tasks.flow_config import NightlyConfig
    from tasks.models import promote
    from tasks.workspace import Workspace

    with connected(RayConfig(cpus=2)):
        for arrivals, day, model in nights:
            for arrived in arrivals:
                shutil.copy(arrived, source)
            if model:
                promote(Workspace(url), model)
            config = NightlyConfig.model_validate({
                "workspace": url, "archive": "made", "date": day, "workers": 1, "lease_s": 30,
                "source": {"kind": "table", "path": str(source), "shards": 8},
            })  # fmt: skip
            print(nightly_flow(config).model_dump_json(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
