"""The figures of the benchmark: each one with its peer's figure and its target."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .sizes import Sizes

Rounds = Sequence[Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        scenario: the letter of its scenario.
        what: what is measured.
        unit: the unit of the values.
        ours: the key of the sidecar's measurement in the results.
        peer: the program to compare with; empty: none.
        theirs: the key of the peer's measurement in the results.
        least: the target: the ratio to the peer is at least this.
        most: the target: the ratio to the peer, or the value if there is no peer, is at most this.
        most_over: the target: the value exceeds the peer's by at most this.
    """

    scenario: str
    what: str
    unit: str
    ours: str
    peer: str = ""
    theirs: str = ""
    least: float | None = None
    most: float | None = None
    most_over: float | None = None

    @property
    def bar(self) -> str:
        """The target in words; empty: there is none."""
        unit = "" if self.peer else f" {self.unit}"
        if self.least is not None:
            return f"at least {self.least:g}{unit}"
        if self.most_over is not None:
            return f"at most {self.most_over:g} {self.unit} over {self.peer}"
        return "" if self.most is None else f"at most {self.most:g}{unit}"


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, minimum and maximum over the rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of ``values``."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{shown(self.median)} ({shown(self.least)} to {shown(self.most)})"


@dataclass(frozen=True, slots=True)
class Told:
    """A figure and its measurements.

    Attributes:
        figure: the figure.
        ours: the sidecar's values over the rounds.
        theirs: the peer's values; None: there is no peer.
        ratio: the sidecar's value divided by the peer's, in each round.
        over: the sidecar's value minus the peer's, in each round; None: no target needs it.
    """

    figure: Figure
    ours: Spread
    theirs: Spread | None
    ratio: Spread | None
    over: Spread | None = None

    @property
    def borne(self) -> Spread:
        """The values that the target limits."""
        return self.over or self.ratio or self.ours

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target; None: there is no target."""
        value = self.borne.median
        if self.figure.least is not None:
            return value >= self.figure.least
        most = self._most
        return None if most is None else value <= most

    @property
    def _most(self) -> float | None:
        return self.figure.most if self.figure.most_over is None else self.figure.most_over

    @property
    def verdict(self) -> str:
        """`met` in words, and whether all rounds agree."""
        if self.met is None:
            return ""
        spread = self.borne
        bar = self.figure.least if self.figure.least is not None else self._most or 0.0
        agreed = spread.most < bar or spread.least > bar
        word = "met" if self.met else "**not met**"
        return (
            word if agreed else f"{word}, not in every round" if self.met else f"{word}, but in some rounds"
        )

    def to_json(self) -> dict[str, Any]:
        """The members of the JSON object."""

        def members(spread: Spread | None) -> dict[str, float] | None:
            return asdict(spread) if spread else None

        return {
            "scenario": self.figure.scenario,
            "what": self.figure.what,
            "unit": self.figure.unit,
            "ours": members(self.ours),
            "peer": self.figure.peer or None,
            "theirs": members(self.theirs),
            "ratio": members(self.ratio),
            "bar": self.figure.bar or None,
            "met": self.met,
        }


def shown(value: float) -> str:
    """``value`` with three significant digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def told(rounds: Rounds, sizes: Sizes) -> list[Told]:
    """All figures that were measured."""
    return [_told(one, rounds) for one in figures(sizes) if all(one.ours in each for each in rounds)]


def _told(figure: Figure, rounds: Rounds) -> Told:
    ours = [each[figure.ours] for each in rounds]
    if not figure.peer:
        return Told(figure, Spread.of(ours), None, None)
    theirs = [each[figure.theirs] for each in rounds]
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    over = [one - other for one, other in zip(ours, theirs, strict=True)]
    is_over = figure.most_over is not None
    return Told(
        figure, Spread.of(ours), Spread.of(theirs), Spread.of(ratios), Spread.of(over) if is_over else None
    )


def figures(sizes: Sizes) -> Iterator[Figure]:
    """All figures, in the order of the table."""
    yield from _opened(sizes)
    yield from _fanout(sizes)
    yield from _growth(sizes)
    yield from _disturbed(sizes)
    yield from _webhooks(sizes)
    for name, what, unit, most in (
        ("start", "start to first answer", "s", 1.5),
        ("idle", "idle memory, all processes", "MB", None),
    ):
        yield Figure("f", what, unit, f"{name}.ours", "hello-world", f"{name}.hello", most=most)
    yield Figure("f", "idle memory, all processes, in all", "MB", "idle.ours", most=45)
    yield Figure("f", "the same, once a person has looked at the status", "MB", "looked.ours")
    yield Figure("g", "check of an open gate in the client", "ns", "client.check", most=150)
    yield Figure(
        "g", "round trip to the open gate", "ns", "client.trip", "a check", "client.check", least=200
    )
    yield Figure("g", f"{sizes.tasks:,} tasks woken in one client", "ms", "client.woken")
    yield from _restricted(sizes)
    yield from _stalls(sizes)
    yield from _middleware()


_ANSWERED = (
    ("per_sec", "", "requests/s"),
    ("p50", ", p50", "µs"),
    ("p99", ", p99", "µs"),
    ("p999", ", p99.9", "µs"),
    ("cpu", ", the server's core for each", "µs"),
)


def _opened(sizes: Sizes) -> Iterator[Figure]:
    few, many = sizes.connections
    least = {(many, "per_sec"): 0.95}
    most = {(few, "p50"): 1.1, (few, "p99"): 2.0}
    for count in sizes.connections:
        for name, suffix, unit in _ANSWERED:
            key = f"open.{count}.{name}"
            yield Figure(
                "a",
                f"open gate, {_connections(count)}{suffix}",
                unit,
                f"{key}.ours",
                "nginx",
                f"{key}.nginx",
                least.get((count, name)),
                most.get((count, name)),
            )


def _connections(count: int) -> str:
    return f"{count} connection" if count == 1 else f"{count} connections"


def _fanout(sizes: Sizes) -> Iterator[Figure]:
    for count in sizes.waiters:
        bars = {"memory": 0.35, "wake": 0.8, "watch": 1.0} if count == sizes.most_waiters else {}
        if count == sizes.waiters[0]:
            bars = {"wake": 1.2}
        memory = f"park.{count}.memory"
        if count in sizes.weighed_waiters:
            what = f"{count:,} parked, memory for each"
            yield Figure(
                "b", what, "kB", f"{memory}.ours", "nchan", f"{memory}.nchan", most=bars.get("memory")
            )
        for kind, what in (("wake", "waiters, resume"), ("watch", "watchers, change")):
            for name in ("first", "median", "last"):
                yield Figure(
                    "b",
                    f"{count:,} {what} to {name} answer",
                    "ms",
                    f"{kind}.{count}.{name}.ours",
                    "nchan",
                    f"wake.{count}.{name}.nchan",
                    most=bars.get(kind) if name == "last" else None,
                )


def _growth(sizes: Sizes) -> Iterator[Figure]:
    one = sizes.scopes[0]
    for scopes in sizes.scopes[1:]:
        bar = 1.1 if scopes == sizes.scopes[-1] else None
        for connections in sizes.connections:
            for name, suffix, unit in _ANSWERED:
                bears = name == "cpu" and connections == sizes.connections[-1]
                key = f"scopes.{connections}.{name}"
                yield Figure(
                    "c",
                    f"{scopes:,} scopes and rules, {_connections(connections)}{suffix}",
                    unit,
                    f"{key}.{scopes}",
                    f"{one} scope",
                    f"{key}.{one}",
                    most=bar if bears else None,
                )
        yield Figure(
            "c",
            f"{scopes:,} scopes asked in turn, the server's core for each",
            "µs",
            f"scopes.in_turn.cpu.{scopes}",
            f"{one} scope",
            f"scopes.in_turn.cpu.{one}",
        )
    yield Figure(
        "c",
        f"{sizes.few} woken beside {sizes.most_waiters:,} who stay, to last answer",
        "ms",
        "few.last.beside",
        "alone",
        "few.last.alone",
        most=1.5,
    )


def _disturbed(sizes: Sizes) -> Iterator[Figure]:
    for name, what in (
        ("scrape", f"scrapes of {sizes.scraped:,} scopes, one after the other"),
        ("scrape_a_second", f"a scrape of {sizes.scraped:,} scopes a second"),
        ("webhook", f"webhooks of {sizes.storm:,} alerts, one after the other"),
        ("parked", f"{sizes.most_waiters:,} parked"),
        ("commit", "commits, one after the other"),
    ):
        for key, percentile in (("p99", "p99"), ("p999", "p99.9")):
            yield Figure(
                "d",
                f"the gate's {percentile} during {what}",
                "µs",
                f"while.{key}.{name}",
                "quiet",
                f"while.{key}.quiet",
                most=3.0 if (name, key) == ("scrape", "p99") else None,
            )
    yield Figure(
        "d",
        "the gate's p99 during scrapes, beside nginx's while it serves as many bytes",
        "µs",
        "while.p99.scrape",
        "nginx",
        "while.p99.nginx",
    )
    yield Figure(
        "d",
        f"a scrape of {sizes.scraped:,} scopes",
        "ms",
        "scrape.ours",
        "prometheus_client",
        "scrape.objects",
        most=1.0,
    )


def _restricted(sizes: Sizes) -> Iterator[Figure]:
    count, waiting = sizes.clients
    where = f"{sizes.restricted:,.0f}/s, {sizes.restricted_waiters:,} parked, {count} clients of {waiting:,}"
    window = f"the worst {sizes.window_secs:g} s, off the rate"
    yield Figure("h", f"{where}: {window}", "%", "restricted.off", most=2.0)
    yield Figure("h", "the longest delay of the load itself meanwhile", "ms", "restricted.delay")
    yield Figure(
        "h", f"{where}: the client farthest from its fair share, off it", "%", "restricted.unfair", most=10.0
    )
    yield _beside_quiet("h", "the open gate's p99 beside that gate", "µs", "restricted.p99", most=3.0)


def _webhooks(sizes: Sizes) -> Iterator[Figure]:
    for count in sizes.alerts:
        alerts = f"webhook of {count:,} alert{'s' if count > 1 else ''}"
        key = f"webhook.{count}"
        for name, what in (("durable", "to a durable 200"), ("closed", "to the gate closed, durable")):
            for percentile in ("p50", "p99"):
                bears = (count, name) == (sizes.alerts[0], "closed")
                its_own = bears and percentile == "p99"
                yield Figure(
                    "e",
                    f"{alerts} {what}, {percentile}",
                    "ms",
                    f"{key}.{name}.{percentile}",
                    "its own p50" if its_own else "an fsync's median",
                    f"{key}.{name}.p50" if its_own else f"{key}.fsync.p50",
                    most=3.0 if its_own else None,
                    most_over=0.6 if bears and not its_own else None,
                )
        yield Figure(
            "e",
            f"{alerts} to the gate closed, p99 beside p99",
            "ms",
            f"{key}.closed.p99",
            "an fsync's p99",
            f"{key}.fsync.p99",
            most=3.0 if count == sizes.alerts[0] else None,
        )


def _stalls(sizes: Sizes) -> Iterator[Figure]:
    few, many = sizes.stalled
    for name, what in _stall_events(few, many):
        key = f"stall.{name}"
        yield _beside_quiet("i", f"worst during {what}", "ms", f"{key}.worst", most_over=5.0)
        yield _beside_quiet("i", f"p99 during {what}", "ms", f"{key}.p99", most=3.0)
        if name == f"name_{many}":
            # The scopes are ten times as many.
            least = f"{few:,} parents"
            most = 1.2 * many / few
            yield Figure("i", what, "ms", f"{key}.took", least, f"stall.name_{few}.took", most=most)
        else:
            yield Figure("i", what, "ms", f"{key}.took")


def _beside_quiet(
    scenario: str,
    what: str,
    unit: str,
    key: str,
    *,
    most: float | None = None,
    most_over: float | None = None,
) -> Figure:
    """A figure during an event, compared with the same figure without an event."""
    ours, theirs = f"{key}.during", f"{key}.quiet"
    return Figure(scenario, what, unit, ours, "quiet", theirs, most=most, most_over=most_over)


def _stall_events(few: int, many: int) -> Iterator[tuple[str, str]]:
    yield "pause_root", f"a pause of the root over {many:,} watched scopes"
    yield "resume_root", f"a resume of the root with {many:,} waiters"
    yield "pause_middle", f"a pause of a middle scope over {many:,} watched scopes"
    yield "resume_middle", f"a resume of a middle scope with {many:,} waiters"
    for count in (few, many):
        yield f"alerts_{count}", f"a notification of {count:,} alerts that pause"
        yield f"alerts_again_{count}", f"the same notification of {count:,} alerts again"
        yield f"resolve_{count}", f"a notification of {count:,} resolved alerts, with as many waiters"
    yield "status", f"a status with {many:,} scopes below"
    yield "page", f"the status page with {many:,} closed scopes"
    yield "history", "a history of 1,000 entries"
    yield "metrics", f"a scrape of {many:,} scopes"
    yield "reload", f"a reload with {many:,} policies"
    yield "start", f"the first seconds after a start with {many:,} signals and holds"
    yield "ramp", f"a ramp over {many:,} waiters"
    yield "name_above_watches", f"a scope that is named above {many:,} watches"
    yield "claims", f"the first claims of {many:,} agents"
    yield "reports", f"the reports of {many:,} clients"
    for count in (few, many):
        yield f"name_{count}", f"{count:,} parents named over {count:,} known scopes"
        yield f"unname_{count}", f"{count:,} parents resolved"
        yield f"forget_{count}", f"{count:,} parents forgotten"
    yield "reconcile", f"a reconciliation with {many:,} alerts"


def _middleware() -> Iterator[Figure]:
    for name, what, most in (("gated", "GateMiddleware", 1.01), ("by_model", "scope_from_model", 1.03)):
        yield Figure(
            "j",
            f"FastAPI with {what}, the server's core for each request",
            "µs",
            f"middleware.{name}",
            "an empty middleware",
            "middleware.empty",
            most=most,
        )
