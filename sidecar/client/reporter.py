"""Reports the counts of one gate in one process. Two threads may send reports. The reports stay in order."""

from __future__ import annotations

import logging
import os
import threading
import uuid

from .connection import Connection
from .errors import Misconfigured, Unreachable
from .request_counts import RequestCounts
from .settings import Settings
from .status_check import check_status

logger = logging.getLogger("wellbeing.client")

_OK = 200


class Reporter:
    """Sends reports.

    Args:
        settings: the settings of the gate.
        counts: the counts to report.

    Attributes:
        client: the id of this process at the sidecar.
    """

    def __init__(self, settings: Settings, counts: RequestCounts) -> None:
        self.client = f"{os.uname().nodename[:64]}:{os.getpid()}:{uuid.uuid4().hex}"
        self._settings = settings
        self._counts = counts
        self._lock = threading.RLock()
        self._sequence = 0
        self._acknowledged: dict[str, int] = {}
        self._refused = False

    def send(self, connection: Connection, timeout: float) -> bool:
        """Send a report within ``timeout`` seconds; return whether it was accepted. A failure is logged."""
        with self._lock:
            counts = self._counts.read()
            self._sequence += 1
            report = {
                "client": self.client,
                "sequence": self._sequence,
                "interval_secs": self._settings.report_secs,
                **counts,
                "waits": self._counts.waits(),
                "trial": self._counts.trial(),
                "acknowledged": self._acknowledged,
            }
            try:
                response = connection.request("POST", "reports", body=report, timeout=timeout)
            except Unreachable as error:
                logger.debug("a report was lost: %s", error)
                return False
            if response.status == _OK:
                self._acknowledged = counts
                self._refused = False
                return True
        try:
            check_status(response, (_OK,))
        except Misconfigured as error:
            if not self._refused:
                self._refused = True
                logger.error("the wellbeing client is misconfigured: its reports are refused: %s", error)
        except Unreachable as error:
            logger.debug("a report was not accepted: %s", error)
        return False
