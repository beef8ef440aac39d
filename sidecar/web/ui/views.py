"""The routes of the page. They run in Flask's threads."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, request

from sidecar.auth import Identity
from sidecar.core.commands import Command, Pause, Resume
from sidecar.core.errors import short_repr
from sidecar.core.scope import ROOT, ancestors_of
from sidecar.store import HistoryQuery
from sidecar.web.gate.requests import scope_of
from sidecar.web.problems import Problem
from sidecar.web.service import Service

from .base_url import base_of, scope_url
from .forms import LENGTHS, ActionForm, read_form
from .history_rows import cause_words, event_words
from .rendering import Viewer, render
from .scope_tree import (
    FILTERS,
    ScopeRows,
    TreeEntry,
    advised_entries,
    count_rows,
    held_entries,
    page_of,
    read_rows,
    restricted_entries,
    tree_of,
)
from .scope_view import (
    SIGNALS_SHOWN,
    ScopeView,
    kind_words,
    links_of,
    read_scope,
    signals_of,
    timeline_of,
)
from .security_headers import PAGE_HEADERS
from .static_files import static_file
from .wording import WHY_ADVISED

_MAX_HOLDERS = 20
_MAX_CLOSED_NAMES = 12
_HISTORY_SIZE = 25
_LATEST_SIZE = 10
_OPERATOR = "operator"
_MAX_NUMBER = 2**63 - 1


class PageViews:
    """One method per route.

    Args:
        service: the running sidecar.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def add_to(self, app: Flask) -> None:
        """Add the routes to ``app``."""
        app.add_url_rule("/", "page", self.overview, methods=["GET"])
        app.add_url_rule("/ui/<any(page.css, page.js):name>", "static_file", _static, methods=["GET"])
        for word, view, methods in (
            ("scope", self.scope, ["GET"]),
            ("pause", self.pause, ["GET", "POST"]),
            ("extend", self.extend, ["GET", "POST"]),
            ("resume", self.resume, ["GET", "POST"]),
        ):
            app.add_url_rule(f"/ui/{word}", f"ui_{word}", view, methods=methods)
            app.add_url_rule(f"/ui/{word}/<rest:_scope>", f"ui_{word}_in", view, methods=methods)

    # -- pages ------------------------------------------------------------------------------------

    def overview(self) -> Response:
        """``GET /``."""
        base = base_of(request.path)
        text, state, number = _filter()
        if "scope" in request.args:
            return _redirect(scope_url(base, scope_of(request.args["scope"], "")))
        identity = _identity()
        if identity.scope != ROOT:
            return _redirect(scope_url(base, identity.scope))
        rows = self._read_rows(ROOT)
        with tree_of(rows, text=text, state=state) as entries:
            holders, more_holders = _first(held_entries(rows, entries))
            restricted, more_restricted = _first(restricted_entries(rows, entries))
            advised, more_advised = _first(advised_entries(rows, entries))
            return self._page(
                "overview.html",
                base,
                counts=count_rows(rows),
                root=entries[ROOT].row,
                holders=[self._holder(one) for one in holders],
                more_holders=more_holders,
                restricted=restricted,
                more_restricted=more_restricted,
                advised=advised,
                more_advised=more_advised,
                blind=self._service.controller.counters.blind,
                out_of_sync=len(self._engines_behind()),
                warnings=self._warnings(),
                latest=self._service.history(HistoryQuery(limit=_LATEST_SIZE)),
                what=event_words,
                who=cause_words,
                **_tree_values(entries[ROOT], text, state, number),
            )

    def _holder(self, entry: TreeEntry) -> dict[str, Any]:
        closed = [one for one in _inside(entry) if one.row is not None and one.row.state.closed]
        names = [one.path for one in closed[:_MAX_CLOSED_NAMES]]
        return {"entry": entry, "closes": entry.paused - 1, "names": names}

    def scope(self, _scope: str = "") -> Response:
        """``GET /ui/scope[/scope]``."""
        scope = scope_of(request.path, "/ui/scope")
        base = base_of(request.path)
        view = self._read_scope(scope)
        rows = self._read_rows(scope)
        text, state, number = _filter()
        first = (_number("signals") - 1) * SIGNALS_SHOWN
        before = _number("before", 0) or None
        history = self._service.history(HistoryQuery(scope=scope, before_id=before, limit=_HISTORY_SIZE + 1))
        links = self._service.config.ui_links
        now = self._service.clock.now()
        with tree_of(rows, scope, text=text, state=state) as entries:
            return self._page(
                "scope.html",
                base,
                view=view,
                counts=count_rows(rows),
                parents=[one for one in reversed(list(ancestors_of(scope))) if one],
                links=links_of(view, links),
                signals=signals_of(view, links, first),
                signals_page=_number("signals"),
                signals_last=max(1, -(-len(view.record.signals) // SIGNALS_SHOWN)),
                kind=kind_words,
                why_advised=WHY_ADVISED,
                tracks=timeline_of(view, self._service.history, now),
                history=history[:_HISTORY_SIZE],
                older=history[_HISTORY_SIZE - 1].id if len(history) > _HISTORY_SIZE else None,
                before=before,
                done=request.args.get("done", ""),
                warnings=self._warnings(),
                what=event_words,
                who=cause_words,
                **_tree_values(entries[scope], text, state, number),
            )

    # -- actions ----------------------------------------------------------------------------------

    def pause(self, _scope: str = "") -> Response:
        """``GET`` asks for reason and length of a pause, ``POST`` pauses."""
        scope = scope_of(request.path, "/ui/pause")
        form = _sent_form("reason", "secs")
        problem = ""
        if form is not None:
            problem = _missing(form)
            if not problem:
                command = Pause(scope, form.reason, _actor(), form.secs)
                return self._act(command, scope, "paused")
        return self._ask("pause", scope, form, problem, 400 if problem else 200)

    def extend(self, _scope: str = "") -> Response:
        """``GET`` asks how long, ``POST`` gives the operator's hold a new end."""
        scope = scope_of(request.path, "/ui/extend")
        view = self._read_scope(scope)
        form = _sent_form("secs")
        problem, status = "", 200
        if form is not None:
            status = 400
            if not view.holds:
                problem, status = "The scope is no longer paused: there is nothing to extend.", 409
            elif form.secs is None:
                problem = "Choose how long."
            else:
                command = Pause(scope, view.holds[0].reason, _actor(), form.secs)
                return self._act(command, scope, "extended")
        return self._ask("extend", scope, form, problem, status)

    def resume(self, _scope: str = "") -> Response:
        """``GET`` asks, ``POST`` resumes."""
        scope = scope_of(request.path, "/ui/resume")
        form = _sent_form()
        if form is not None:
            return self._act(Resume(scope, _actor(), form.reason), scope, "resumed")
        return self._ask("resume", scope, None, "", 200)

    def _act(self, command: Command, scope: str, done: str) -> Response:
        self._service.submit(command, _identity().name)
        url = scope_url(base_of(request.path), scope)
        return _redirect(f"{url}?{urlencode({'done': done})}")

    def _ask(self, action: str, scope: str, form: ActionForm | None, problem: str, status: int) -> Response:
        view = self._read_scope(scope)
        rows = self._read_rows(scope)
        opens, stays = _effect_of_resume(rows, view)
        response = self._page(
            "action.html",
            base_of(request.path),
            action=action,
            view=view,
            form=form,
            problem=problem,
            lengths=LENGTHS,
            stops=sum(row.enabled and not row.state.closed for row in rows),
            counts=count_rows(rows),
            opens=opens,
            stays=stays,
            kind=kind_words,
        )
        rows.release()
        response.status_code = status
        return response

    # -- reading ----------------------------------------------------------------------------------

    def _read_rows(self, scope: str) -> ScopeRows:
        return read_rows(self._service.call_in_loop, self._service.controller.tree, scope)

    def _read_scope(self, scope: str) -> ScopeView:
        service = self._service

        def read() -> ScopeView:
            engines = [(one.config.scope, one.config.name, one.in_sync) for one in service.engines.all]
            return read_scope(service.controller, scope, engines)

        return service.call_in_loop(read)

    def _engines_behind(self) -> list[str]:
        """The names of the engines that are out of sync with their gates."""
        return [one.config.name for one in list(self._service.engines.all) if not one.in_sync]

    def _warnings(self) -> list[str]:
        """Warnings about the sidecar itself."""
        service = self._service
        counters = service.controller.counters
        alertname, heard = counters.watchdog
        warnings = []
        if counters.blind:
            warnings.append("Blind: the watchdog's alert is missing, so a resolve lifts nothing.")
        if alertname and not heard:
            warnings.append(
                f"The watchdog's alert {alertname} was never received: check its rule in Prometheus, and its "
                "route in Alertmanager."
            )
        if not counters.store_up:
            warnings.append("The store cannot be written: pauses and resumes are refused.")
        down = [url for url, up in list(counters.alertmanagers.items()) if up is False]
        if down:
            warnings.append(f"Alertmanager does not answer: {', '.join(down)}.")
        behind = self._engines_behind()
        if behind:
            warnings.append(f"Engines out of sync with their gates: {', '.join(behind)}.")
        left = [one.name for one in service.engines.left_paused]
        if left:
            warnings.append(f"Engines that left the config and are still paused: {', '.join(left)}.")
        if not service.reload_ok:
            warnings.append("The last reload failed: the previous config is in use.")
        return warnings

    def _page(self, template: str, base: str, **values: Any) -> Response:  # noqa: ANN401
        viewer = Viewer(_identity(), signs_in=not self._service.guard.keyring.is_empty)
        now = self._service.clock.now()
        return _html(
            render(
                template,
                viewer,
                base,
                now,
                url=lambda scope, page="scope": scope_url(base, scope, page),
                **values,
            )
        )


def _tree_values(top: TreeEntry, text: str, state: str, number: int) -> dict[str, Any]:
    page = page_of(top, number)
    query = {key: value for key, value in (("q", text), ("state", state)) if value}
    return {
        "tree": page,
        "q": text,
        "state": state,
        "filters": FILTERS,
        "page_url": lambda to: "?" + urlencode({**query, "page": to}),
        "top_depth": top.depth,
    }


def _first(entries: list[TreeEntry]) -> tuple[list[TreeEntry], int]:
    """The entries that a page shows, and how many more there are."""
    return entries[:_MAX_HOLDERS], max(0, len(entries) - _MAX_HOLDERS)


def _inside(entry: TreeEntry) -> list[TreeEntry]:
    """Entries inside ``entry``, nearest first, at most as many as a page can show."""
    found: list[TreeEntry] = []
    level = entry.children
    while level and len(found) < _MAX_CLOSED_NAMES:
        found += level[:500]
        level = [child for one in level[:500] for child in one.children]
    return found


def _effect_of_resume(rows: ScopeRows, view: ScopeView) -> tuple[int, int]:
    """How many scopes a resume opens, and how many stay closed by their own or an ancestor's hold."""
    closed = [row for row in rows if row.state.closed]
    if any(gate == "closed" for gate in view.gates_above.values()):
        return 0, len(closed)
    held = sum(row.hold is not None and row.scope != view.scope for row in closed)
    opens = sum(row.state.held_by == view.scope for row in closed)
    return opens, held


def _filter() -> tuple[str, str, int]:
    state = request.args.get("state", "")
    if state and state not in FILTERS:
        raise Problem(
            "invalid-parameter", f"state: must be one of {', '.join(FILTERS)}, got {short_repr(state)}"
        )
    return request.args.get("q", "").strip()[:200], state, _number("page")


def _number(name: str, default: int = 1) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_NUMBER))
    if not digits or not 1 <= int(text) <= _MAX_NUMBER:
        raise Problem("invalid-parameter", f"{name}: must be a whole number above 0, got {short_repr(text)}")
    return int(text)


def _sent_form(*names: str) -> ActionForm | None:
    """The form of a POST; None: the request asks for the form."""
    if request.method != "POST":
        return None
    return read_form(request.headers.get("Content-Type", ""), request.get_data(), names)


def _missing(form: ActionForm) -> str:
    if not form.reason:
        return "Enter a reason: every waiting client gets it."
    return "" if form.secs is not None else "Choose how long."


def _identity() -> Identity:
    identity: Identity = request.environ["asgi.scope"]["state"]["identity"]
    return identity


def _actor() -> str:
    return _identity().name or _OPERATOR


def _redirect(url: str) -> Response:
    response = Response(status=303)
    response.headers.update(PAGE_HEADERS)
    response.headers["Location"] = url
    return response


def _html(text: str) -> Response:
    response = Response(text)
    response.headers.update(PAGE_HEADERS)
    return response


def _static(name: str) -> Response:
    content, content_type = static_file(name)
    return Response(content, content_type=content_type)
