"""The stages, over Ray and storage. Ray's ports run anyone's code unless they ask for a token, so they do."""

import os

# Ray reads this once, while it is imported. `disabled` is for a cluster that has no token.
os.environ.setdefault("RAY_AUTH_MODE", "token")

SHARD_LINES = "sdt.shards"
"""Logger of a line for every shard: for a collector (SDT_LOG=json), too many for a person."""
