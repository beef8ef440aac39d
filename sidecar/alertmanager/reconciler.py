"""Sets right what notifications did not tell: at start, every so often, and after a truncated one.

Alertmanager lists what fires. What it lists as firing counts, as a notification would; also what was told to
have ended before it was asked. What it lists as silenced or inhibited ends here. What it does not list
ends only if it would be listed: it was told of by the receiver and has the labels that are asked for, it was
absent twice in a row and not heard of in between, those who watch are watching, and an Alertmanager that
answered has run for long enough to know. Of several, as members of one cluster, the lists are put together:
Prometheus tells each of them, and they tell each other nothing of alerts. One that does not answer changes
nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from sidecar.alerts import ActiveAlert, NoMatch, RuleMatch
from sidecar.config import AlertsConfig
from sidecar.core.commands import AlertFired, AlertMissing, CommandOutcome, ReconcileAlerts
from sidecar.core.errors import CoreError, TooManyScopes, TooManySignals
from sidecar.core.values import ALERT_PREFIX, Signal
from sidecar.gates.counters import Counters
from sidecar.runtime.controller import Controller, ShuttingDown
from sidecar.store import StoreUnavailable
from sidecar.supervision import run_supervised

from .client import AlertmanagerReply, Ask, name_of
from .notifications import AlertInterpreter
from .unmatched_alerts import UnmatchedAlert, UnmatchedAlertLog, UnmatchedAlerts
from .watchdog import Watchdog

logger = logging.getLogger(__name__)

_CONFIRM_SECS = 5.0
_BREATH_SECS = 0.2
"""However many notifications are truncated, Alertmanager is not asked without a pause."""
_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class _Listed:
    """What the Alertmanagers together say.

    Attributes:
        firing: what counts as firing, by source.
        suppressed: sources that nobody lists as active.
        ignored: sources that the rules ignore, and misdirected ones.
        unmatched: of those, for the log.
        complete: one that answered has run for long enough to know.
    """

    firing: dict[str, AlertFired]
    suppressed: frozenset[str]
    ignored: frozenset[str]
    unmatched: tuple[UnmatchedAlert, ...]
    complete: bool


class Reconciler:
    """Asks, compares and corrects.

    Args:
        controller: whose signals are compared.
        interpreter: says what an alert claims.
        watchdog: says whether what is absent can be believed.
        config: whom to ask, and how.
        ask: asks.
        unmatched_log: logs alerts that say nothing of any scope.
        jitter: a number from 0 to 1, anew at each call.
    """

    def __init__(
        self,
        controller: Controller,
        interpreter: AlertInterpreter,
        watchdog: Watchdog,
        config: AlertsConfig,
        *,
        ask: Ask,
        unmatched_log: UnmatchedAlertLog,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._controller = controller
        self._watchdog = watchdog
        self._ask = ask
        self._unmatched_log = unmatched_log
        self._jitter = jitter
        self._absent: dict[str, Signal] = {}
        self._hurry = asyncio.Event()
        self.configure(config, interpreter)
        self._task = controller.loop.create_task(
            run_supervised("reconciler", self._run, controller.counters.task_failures)
        )

    def configure(self, config: AlertsConfig, interpreter: AlertInterpreter) -> None:
        """Go on with ``config``, at once."""
        self._config = config
        self._interpreter = interpreter
        self._absent = {}
        names = [name_of(url) for url in config.alertmanager_urls]
        up = self._counters.alertmanagers
        self._counters.alertmanagers = {name: up.get(name) for name in names}
        self._hurry.set()

    def hurry(self) -> None:
        """Do not wait for the next time."""
        self._hurry.set()

    async def stop(self) -> None:
        """Ask no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def _counters(self) -> Counters:
        return self._controller.counters

    async def _run(self) -> None:
        while True:
            self._hurry.clear()
            pause = self._config.reconcile_secs * (1 - _JITTER * self._jitter())
            if self._config.alertmanager_urls:
                try:
                    if not await self._round():
                        pause = min(pause / 2, _CONFIRM_SECS)
                except (StoreUnavailable, CoreError, ShuttingDown) as error:
                    self._fail(str(error))
                except Exception:
                    self._counters.reconciliations["failed"] += 1
                    logger.exception("reconciliation failed")
            await asyncio.sleep(_BREATH_SECS)
            try:
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            except TimeoutError:
                continue

    async def _round(self) -> bool:
        """Ask and correct; whether all is settled: nothing was absent for the first time."""
        config, interpreter, clock = self._config, self._interpreter, self._controller.clock
        asked_at, asked = clock.now(), clock.monotonic()
        before = {
            signal.source: signal
            for record in self._controller.core_state.records.values()
            for signal in record.signals.values()
            if signal.asked and signal.asked == interpreter.question
        }
        answers = await self._ask(config)
        if config is not self._config:
            # The question is not the config's any more, and another one is on its way.
            return True
        self._tell(answers)
        good = [answer for answer in answers if not answer.error]
        if not good:
            self._absent = {}
            self._counters.reconciliations["unreachable"] += 1
            return True
        listed = await self._controller.loop.run_in_executor(
            None, _together, good, config, interpreter, asked_at
        )
        self._unmatched_log.tell(listed.unmatched, clock.monotonic())
        self._watchdog.listed(any(answer.watchdog for answer in good), complete=listed.complete, asked=asked)
        believed = listed.complete and not self._watchdog.ignores_missing_alerts
        why = {source: self._why_gone(source, signal, listed, believed) for source, signal in before.items()}
        gone = tuple(
            AlertMissing(source, before[source].since, before[source].expires_at, text)
            for source, text in why.items()
            if text
        )
        absent = before.keys() - listed.firing.keys() - listed.suppressed - listed.ignored
        self._absent = {source: before[source] for source in absent} if believed else {}
        outcome = await self._correct(ReconcileAlerts(tuple(listed.firing.values()), gone, asked_at))
        self._watchdog.note(outcome, absent)
        self._count(outcome, len(gone))
        return not self._absent.keys() - {one.source for one in gone}

    async def _correct(self, command: ReconcileAlerts) -> CommandOutcome:
        try:
            return await self._controller.submit(command)
        except TooManyScopes as error:
            # No reason to keep what has ended, nor to forget what is known.
            self._fail(str(error))
            known = self._controller.core_state.records
            firing = tuple(alert for alert in command.firing if alert.scope in known)
            return await self._correct(replace(command, firing=firing))
        except TooManySignals as error:
            self._fail(str(error))
            scope_by_alert = self._controller.core_state.scope_by_alert
            firing = tuple(
                alert for alert in command.firing if scope_by_alert.get(alert.source) == alert.scope
            )
            return await self._controller.submit(replace(command, firing=firing))

    def _why_gone(self, source: str, signal: Signal, listed: _Listed, believed: bool) -> str:  # noqa: FBT001
        if source in listed.suppressed:
            return "silenced or inhibited"
        if source in listed.ignored:
            return "the rules ignore it now"
        if source in listed.firing or not believed:
            return ""
        return "Alertmanager knows of it no more" if self._absent.get(source) == signal else ""

    def _tell(self, answers: list[AlertmanagerReply]) -> None:
        known = self._counters.alertmanagers
        for answer in answers:
            up = not answer.error
            if known.get(answer.name) is not up and answer.name in known:
                fields = {"alertmanager": answer.name}
                if up:
                    logger.info("alertmanager_up", extra={"fields": fields})
                else:
                    logger.warning(
                        "alertmanager_unreachable", extra={"fields": {**fields, "error": answer.error}}
                    )
                known[answer.name] = up

    def _fail(self, error: str) -> None:
        self._counters.reconciliations["failed"] += 1
        logger.error("reconcile_failed", extra={"fields": {"error": error}})

    def _count(self, outcome: CommandOutcome, gone: int) -> None:
        self._counters.reconciliations["done"] += 1
        self._counters.reconciled_at = self._controller.clock.now()
        raised = sum(1 for one in outcome.alerts if one.value == "applied")
        self._counters.corrections["raised"] += raised
        self._counters.corrections["ended"] += gone
        if raised or gone:
            logger.warning("reconciled", extra={"fields": {"raised": raised, "ended": gone}})


def _together(
    answers: list[AlertmanagerReply], config: AlertsConfig, interpreter: AlertInterpreter, now: float
) -> _Listed:
    alerts: dict[str, ActiveAlert] = {}
    for answer in answers:
        for one in answer.alerts:
            source = ALERT_PREFIX + one.alert.fingerprint
            other = alerts.get(source)
            if other is None or (other.suppressed and not one.suppressed):
                alerts[source] = one
    silent = not config.alertmanager.count_suppressed
    suppressed = frozenset(source for source, one in alerts.items() if one.suppressed and silent)
    firing = {}
    unmatched = UnmatchedAlerts()
    for source, one in alerts.items():
        match = None if source in suppressed else interpreter.match(one.alert)
        if isinstance(match, RuleMatch):
            firing[source] = interpreter.fired(one.alert, match, now)
        elif isinstance(match, NoMatch):
            unmatched.add(one.alert, match)
    oldest = min(answer.started_at for answer in answers)
    return _Listed(
        firing,
        suppressed,
        frozenset(alerts.keys() - firing.keys() - suppressed),
        unmatched.all(),
        complete=now - oldest >= config.alertmanager.min_uptime_secs,
    )
