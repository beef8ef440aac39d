"""``POST /v1/alerts?dry_run=true``: explains what each alert would do, and changes nothing."""

from __future__ import annotations

from sidecar.alerts import Notification
from sidecar.auth import Identity
from sidecar.explain import Affected, Explainer
from sidecar.gates.tree import GateTree
from sidecar.time_slice import TimeSlice
from sidecar.web.service import Service

Json = dict[str, object]

_MAX_NAMES = 10
_SLICE_SECS = 0.0015


async def explain_alerts(service: Service, notification: Notification, sender: Identity) -> Json:
    """Explain every alert of ``notification``, as if the alerts before it had been applied.

    It runs in the event loop in time slices, since it reads the state of the controller.
    """
    controller = service.controller
    time_slice = TimeSlice(_SLICE_SECS, _SLICE_SECS)
    affected: dict[str, Affected] = {}
    explainer = Explainer(
        service.config,
        controller.core_state,
        service.clock.now(),
        sender_scope=sender.scope,
        blind=service.alerting.watchdog.blind and service.config.alerts.hold_while_blind,
    )
    explained = []
    for alert in notification.alerts:
        one = explainer.explain(alert)
        scope = one["scope"]
        if isinstance(scope, str) and one["policy"] is not None:
            if scope not in affected:
                affected[scope] = await _affected(service, controller.tree, scope, time_slice)
            one["affects"] = affected[scope].to_json()
        explained.append(one)
        if time_slice.expired:
            await time_slice.yield_to_others()
    return {"dry_run": True, "alerts": explained}


async def _affected(service: Service, tree: GateTree, scope: str, time_slice: TimeSlice) -> Affected:
    """The scopes and requests that a pause of ``scope`` would stop now."""
    if scope not in tree.gates:
        return Affected(0, 0, None)
    names: list[str] = []
    waiters = requests = 0
    for gate in list(tree.below(scope)):
        waiters += gate.waiting
        if not gate.closed and gate.policy.enabled:
            names.append(gate.scope)
            requests += service.request_rates.last_minute(gate)
        if time_slice.expired:
            await time_slice.yield_to_others()
    names.sort()
    return Affected(len(names), waiters, requests, tuple(names[:_MAX_NAMES]))
