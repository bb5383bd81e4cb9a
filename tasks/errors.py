"""What a user can put right: one readable block, no traceback."""


class WorkflowError(Exception):
    """A fault of the input, the configuration or the surroundings.

    The message says what happened, where (file, row, shard) and what to do; the command line prints it alone.
    """


class StageFailed(WorkflowError):
    """A stage finished every shard that it could, and some could not be done.

    The stage has no manifest, so the next run does the missing shards only.
    """


class DamagedFile(WorkflowError):
    """A file of the workspace is not what was written: cut, empty, or with a flipped bit.

    `tasks.archive.repair` adds the command that makes it anew.

    Attributes:
        path: the file, relative to the workspace.
        reason: what is wrong with it.
        repair: the command that makes it anew, where that is known.
    """

    def __init__(self, where: str, path: str, reason: str, repair: str = "") -> None:
        super().__init__(f"{where}: damaged: {reason}" + (f"\n  make it anew with: {repair}" if repair else ""))
        self.where, self.path, self.reason, self.repair = where, path, reason, repair

    def __reduce__(self) -> tuple[type["DamagedFile"], tuple[str, str, str, str]]:
        return DamagedFile, (self.where, self.path, self.reason, self.repair)

    def with_repair(self, command: str) -> "DamagedFile":
        """The same error, which names the command that makes the file anew."""
        return DamagedFile(self.where, self.path, self.reason, self.repair or command)


class StoreOut(WorkflowError):
    """A store does not answer, or fails; later it may not."""
