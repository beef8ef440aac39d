"""The machine of the benchmark: pinned cores, open files, CPU time, and the cost of an fsync."""

from __future__ import annotations

import os
import platform
import resource
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_PAGE = b"x" * 4096
_QUIET_SECS = 0.15
_DEADLINE_SECS = 60.0
_PRIORITY = -20


@dataclass(frozen=True, slots=True)
class Machine:
    """Describes the machine.

    Attributes:
        server_core: the core of the servers.
        load_core: the core of the load.
        cores: how many there are.
        processor: its name.
        kernel: its release.
        python: its version.
        idle_secs: seconds without CPU time after which a process counts as idle.
    """

    server_core: int
    load_core: int
    cores: int
    processor: str
    kernel: str
    python: str
    idle_secs: float = _QUIET_SECS

    @classmethod
    def take(cls, idle_secs: float = _QUIET_SECS) -> Machine:
        """Pin this process to the core of the load, and allow as many open files as possible.

        All that is measured gets the highest priority that the system permits, so that other programs of the
        machine disturb it less.
        """
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)
            # Linux may share the processors between sessions first, and then between the processes of each.
            Path("/proc/self/autogroup").write_text(str(_PRIORITY))
        allowed = sorted(os.sched_getaffinity(0))
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        os.sched_setaffinity(0, {allowed[-1]})
        return cls(
            allowed[0],
            allowed[-1],
            len(allowed),
            _processor(),
            platform.release(),
            platform.python_version(),
            idle_secs,
        )

    @property
    def pinned(self) -> tuple[str, ...]:
        """The beginning of a command that pins a server to its core."""
        return ("taskset", "--cpu-list", str(self.server_core))

    def to_json(self) -> dict[str, object]:
        """The members of the JSON object."""
        return {name: value for name, value in asdict(self).items() if name != "idle_secs"}

    def settle(self, pid: int) -> None:
        """Wait until a process and all its descendants are idle."""
        deadline = time.monotonic() + _DEADLINE_SECS
        before = -1
        while True:
            now = sum(_ticks(one) for one in family(pid))
            if now == before:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"process {pid} does not become idle")
            before = now
            time.sleep(self.idle_secs)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def on_cpu_ns(pid: int) -> int:
    """CPU time of the first thread of a process in nanoseconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def _ticks(pid: int) -> int:
    """CPU time of all threads of a process in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


class Disk:
    """A file to which one page at a time is written and synced, to measure the disk.

    Args:
        folder: on that disk.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "pages", os.O_CREAT | os.O_WRONLY, 0o600)

    def sync(self) -> float:
        """Write and sync one more page. Returns the seconds it took."""
        began = time.perf_counter()
        os.write(self._file, _PAGE)
        os.fsync(self._file)
        return time.perf_counter() - began

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
