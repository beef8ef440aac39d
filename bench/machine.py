"""The machine that it runs on: who gets which core, open files, what a process takes, what the disk costs."""

from __future__ import annotations

import os
import platform
import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_PAGE = b"x" * 4096
_QUIET_SECS = 0.15
_DEADLINE_SECS = 60.0


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured.

    Attributes:
        server_core: what serves runs there.
        load_core: what loads it does.
        cores: how many there are.
        processor: its name.
        kernel: its release.
        python: its version.
    """

    server_core: int
    load_core: int
    cores: int
    processor: str
    kernel: str
    python: str

    @classmethod
    def take(cls) -> Machine:
        """Keep to the load's core, with as many open files as may be."""
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
        )

    @property
    def pinned(self) -> tuple[str, ...]:
        """What a server's command begins with."""
        return ("taskset", "--cpu-list", str(self.server_core))

    def to_json(self) -> dict[str, object]:
        """Its members."""
        return asdict(self)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def on_cpu_ns(pid: int) -> int:
    """Nanoseconds that a process's first thread has run."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def settle(pid: int) -> None:
    """Wait until a process and all below it have nothing to do."""
    deadline = time.monotonic() + _DEADLINE_SECS
    before = -1
    while True:
        now = sum(_ticks(one) for one in family(pid))
        if now == before:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"process {pid} does not come to rest")
        before = now
        time.sleep(_QUIET_SECS)


def _ticks(pid: int) -> int:
    """Hundredths of a second that all threads of a process have run."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


class Disk:
    """A file that is written a page at a time, to know what the disk takes for it.

    Args:
        folder: on that disk.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "pages", os.O_CREAT | os.O_WRONLY, 0o600)

    def sync(self) -> float:
        """Seconds until one more page is on the disk."""
        began = time.perf_counter()
        os.write(self._file, _PAGE)
        os.fsync(self._file)
        return time.perf_counter() - began

    def close(self) -> None:
        """No more pages."""
        os.close(self._file)
