"""Whether background threads run in this process.

Programs that embed Python may run it only while they serve a request, or fork after the application was
imported without telling Python. In the first case a thread makes no progress. In the second case, a thread
that waits for the interpreter at the moment of the fork makes the child wait forever, before any code of this
module can run. So this module checks for such hosts before a thread is started.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

logger = logging.getLogger("wellbeing.client")

_PYTHONS = ("python", "pypy", "graalpy")
_OFF = ("false", "off", "no", "0")


class Obstacle(NamedTuple):
    """Why background threads are not used.

    Attributes:
        reason: the reason, for people.
        remedy: what an operator can do about it; empty: nothing is wrong.
    """

    reason: str
    remedy: str


_BEFORE_FORK = Obstacle("uWSGI has not started its workers yet", "")
_OFF_IN_UWSGI = Obstacle("uWSGI runs without threads", "set enable-threads = true")
THREAD_REFUSED = Obstacle(
    "a thread could not be started", "raise the limit of threads or processes of this host"
)
NO_PROGRESS = Obstacle(
    "the host runs Python's threads only while it serves a request", "let the host release the interpreter"
)


def find_obstacle() -> Obstacle | None:
    """A known reason against background threads in this process now; None: there is none."""
    uwsgi = sys.modules.get("uwsgi")
    try:
        return None if uwsgi is None else _obstacle_in_uwsgi(uwsgi)
    except Exception:  # noqa: BLE001 - a module of another kind has this name
        return None


def _obstacle_in_uwsgi(uwsgi: Any) -> Obstacle | None:  # noqa: ANN401 - a module that exists only there
    is_worker = uwsgi.worker_id() or uwsgi.mule_id() or _is_spooler(uwsgi)
    # A manager of other uWSGIs and a program without workers do not fork the application.
    if not is_worker:
        return _BEFORE_FORK
    return None if _has_threads(uwsgi) else _OFF_IN_UWSGI


def _is_spooler(uwsgi: Any) -> bool:  # noqa: ANN401
    is_spooler = getattr(uwsgi, "i_am_the_spooler", None)
    return bool(is_spooler and is_spooler())


def _has_threads(uwsgi: Any) -> bool:  # noqa: ANN401
    known = getattr(uwsgi, "has_threads", None)
    if known is not None:
        return bool(known)
    return any(_is_on(uwsgi.opt.get(name)) for name in ("enable-threads", "threads"))


def _is_on(value: object) -> bool:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").lower() not in _OFF
    return bool(value)


def is_embedded() -> bool:
    """Whether a program other than Python's own interpreter runs this process."""
    try:
        program = str(Path("/proc/self/exe").readlink())
    except OSError:
        program = sys.executable or ""
    return not Path(program).name.lower().startswith(_PYTHONS)


def log_once(obstacle: Obstacle, consequence: str) -> None:
    """Log at error, once per process, that threads do not run and what follows."""
    if not obstacle.remedy:
        return
    said = (os.getpid(), obstacle, consequence)
    if said in _SAID:
        return
    _SAID[said] = time.time()
    logger.error(
        "background threads do not run in this process: %s. %s. Remedy: %s",
        obstacle.reason,
        consequence,
        obstacle.remedy,
    )


# Setting an item is atomic in the interpreter, so no lock can be held during a fork.
_SAID: dict[tuple[int, Obstacle, str], float] = {}
