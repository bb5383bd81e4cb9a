"""The command line: one command a flow, and those that look after a workspace."""


def main() -> None:
    """Run `sdt`, as the installed script does."""
    from flows.cli.app import main as run

    run()
