"""Several machines in one: each has an address, a hostname, processes and a /srv of its own, and a switch joins them.

A machine is a set of Linux namespaces around one process. Whatever runs in it ends with that process, and the process
ends with the test, however the test ends: it waits for a pipe to close. The switch is such a machine as well, so that
no firewall of the real one is asked, and nothing is left behind.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

HOME = "/srv"  # of each machine: what it writes
SUBNET, OUTSIDE = "10.213.7", "sdt-test"  # the real machine's plug in the switch

_UNSHARE = ("unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_BEGIN = """
set -e
hostname "$0"
mount --bind "$1" /etc/hosts
mount --bind "$2" /srv
ip link set lo up
echo ready
cat
"""
_TRIAL = """
set -e
hostname trial
mount --bind /srv /srv
ip link add trial type bridge
ip link add this type veth peer name that
"""


def why_not() -> str | None:
    """Why there can be no such machines here; None where there can."""
    needs = "a cluster on one machine needs"
    if sys.platform != "linux":
        return f"{needs} Linux and its namespaces"
    if os.geteuid() != 0:
        return f"{needs} root, to make network namespaces"
    if missing := [tool for tool in ("hostname", "ip", "mount", "nsenter", "unshare") if shutil.which(tool) is None]:
        return f"{needs} {', '.join(missing)}, of the packages hostname, iproute2, mount and util-linux"
    done = subprocess.run([*_UNSHARE, "sh", "-c", _TRIAL], capture_output=True, text=True, check=False)
    return f"{needs} network namespaces, and may not make them: {done.stderr.strip()}" if done.returncode else None


class Machine:
    """One of them; ``folder`` is what it sees as /srv."""

    def __init__(self, name: str, address: str, folder: Path, hosts: Path) -> None:
        self.name, self.address, self.folder = name, address, folder
        folder.mkdir()
        self._process = subprocess.Popen(
            [*_UNSHARE, "sh", "-c", _BEGIN, name, str(hosts), str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        if (said := self._process.stdout.readline()) != "ready\n":
            raise RuntimeError(f"machine {name} did not start: {said}{self._process.stdout.read()}")

    @property
    def pid(self) -> str:
        """Of a process that has its network."""
        return str(self._process.pid)

    @property
    def inside(self) -> tuple[str, ...]:
        """What goes before a command that is to run on this machine, in its /srv."""
        files = {"net": "net", "uts": "uts", "mount": "mnt", "pid": "pid_for_children"}
        spaces = [f"--{name}=/proc/{self.pid}/ns/{file}" for name, file in files.items()]
        return ("nsenter", *spaces, "env", "-C", HOME)

    def run(self, *command: str) -> str:
        done = subprocess.run([*self.inside, *command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(command)}: {done.stderr}")
        return done.stdout

    def stop(self) -> None:
        """End it with all that runs in it."""
        self._process.communicate()


@contextmanager
def network(folder: Path, names: Sequence[str]) -> Iterator[dict[str, Machine]]:
    """Machines that know one another by name; whoever runs this reaches them by address."""
    hosts, places = folder / "hosts", {name: f"{SUBNET}.{number}" for number, name in enumerate(names, 2)}
    hosts.write_text("".join(f"{place} {name}\n" for name, place in [("localhost", "127.0.0.1"), *places.items()]))
    with _alone(), ExitStack() as stack:
        switch = Machine("switch", "", folder / "switch", hosts)
        stack.callback(switch.stop)
        switch.run("ip", "link", "add", "bridge", "type", "bridge")
        switch.run("ip", "link", "set", "bridge", "up")
        subprocess.run(["ip", "link", "del", OUTSIDE], capture_output=True, check=False)  # of one that just died
        _join(switch, "outside", OUTSIDE)
        subprocess.run(["ip", "addr", "add", f"{SUBNET}.1/24", "dev", OUTSIDE], check=True)
        subprocess.run(["ip", "link", "set", OUTSIDE, "up"], check=True)
        stack.callback(subprocess.run, ["ip", "link", "del", OUTSIDE], check=True)
        machines = {}
        for name, place in places.items():
            machines[name] = machine = Machine(name, place, folder / name, hosts)
            stack.callback(machine.stop)
            _join(switch, f"to-{place.rsplit('.', 1)[1]}", "eth0", "netns", machine.pid)
            machine.run("ip", "addr", "add", f"{place}/24", "dev", "eth0")
            machine.run("ip", "link", "set", "eth0", "up")
        yield machines


def _join(switch: Machine, plug: str, *other_end: str) -> None:
    """Lay a cable from the switch."""
    cable = ["ip", "link", "add", plug, "netns", switch.pid, "type", "veth", "peer", "name", *other_end]
    subprocess.run(cable, check=True)
    switch.run("ip", "link", "set", plug, "master", "bridge", "up")


@contextmanager
def _alone() -> Iterator[None]:
    """Where two tests want these addresses, the second waits for the first."""
    with socket.socket(socket.AF_UNIX) as lock:
        while True:
            try:
                lock.bind("\0sdt-test-cluster")  # a name without a file; gone with its process
                break
            except OSError:
                time.sleep(1)
        yield
