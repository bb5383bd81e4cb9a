"""The stages, over Ray and storage. Ray's ports run anyone's code unless they ask for a token, so they do."""

import os

# Ray reads these while it is imported, or hands them on to what it starts; what the surroundings say is left as it is.
RAY_SURROUNDINGS = {
    "RAY_AUTH_MODE": "token",  # `disabled` is for a cluster that has no token
    # Patience with a machine that others use: each of these gives up after 5 to 100 s by default, and the run with it.
    "RAY_worker_register_timeout_seconds": "600",  # a node, for a worker that it has started
    "RAY_agent_register_timeout_ms": "600000",  # a node, for its helpers, without which it ends itself
    "RAY_raylet_client_num_connect_attempts": "120",  # a worker, for its node; one a second
    "RAY_gcs_rpc_server_connect_timeout_s": "60",  # everyone, for the head; also how long a wrong address takes
    "RAY_health_check_failure_threshold": "30",  # the head, before it counts a silent node as dead
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "600",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "1800",  # which import torch first
}
for _name, _value in RAY_SURROUNDINGS.items():
    os.environ.setdefault(_name, _value)

SHARD_LINES = "sdt.shards"
"""Logger of a line for every shard: for a collector (SDT_LOG=json), too many for a person."""
