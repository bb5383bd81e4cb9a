"""What a user can put right: one readable block, no traceback."""


class WorkflowError(Exception):
    """A fault of the input, the configuration or the surroundings.

    The message says what happened, where (file, row, shard) and what to do; the command line prints it alone.
    """


class StageFailed(WorkflowError):
    """A stage finished every shard that it could, and some could not be done.

    The stage has no manifest, so the next run does the missing shards only.
    """


class StoreOut(WorkflowError):
    """A store does not answer, or fails; later it may not."""
