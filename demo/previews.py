"""Draws the dashboards from the demo's data with their own queries. The results are previews, not screenshots
of Grafana.

The program runs the demo, sends every query of every panel to its Prometheus, and draws each dashboard as a
PNG into the folder that the first argument names.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import requests

mpl.use("Agg")

from matplotlib import dates
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from dashboards.build import BOARDS, rendered

from .__main__ import Demo
from .environment import SCOPE, DemoEnvironment, eventually

VARIABLES = {"$scope": SCOPE, "$model": ".*", "$cluster": ".*", "$instance": ".*", "$__rate_interval": "5s"}
COLOURS = {
    "green": "#73bf69",
    "yellow": "#fade2a",
    "orange": "#ff9830",
    "red": "#f2495c",
    "blue": "#5794f2",
    "purple": "#b877d9",
}
PALETTE = ["#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#f2495c", "#b877d9", "#56a64b", "#8ab8ff"]
BACK, PANEL, TEXT = "#111217", "#181b1f", "#ccccdc"
ROW_INCHES = 0.36

Labels = dict[str, str]
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Source:
    """A Prometheus and the time range to show."""

    url: str
    began: float
    ended: float

    def series(self, expression: str) -> list[tuple[Labels, Points]]:
        """Run a range query."""
        params: dict[str, Any] = {"start": self.began, "end": self.ended, "step": 1}
        rows = self._ask("query_range", expression, params)
        return [
            (row["metric"], [(at, float(value)) for at, value in row["values"] if value != "NaN"])
            for row in rows
        ]

    def now(self, expression: str) -> list[tuple[Labels, float]]:
        """Run an instant query at the end of the range."""
        rows = self._ask("query", expression, {"time": self.ended})
        return [(row["metric"], float(row["value"][1])) for row in rows]

    def _ask(self, path: str, expression: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        params = {**params, "query": filled_in(expression)}
        answer = requests.get(f"{self.url}/api/v1/{path}", params=params, timeout=30).json()
        if answer["status"] != "success":
            raise RuntimeError(f"{expression}: {answer['error']}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


def filled_in(expression: str) -> str:
    """``expression`` with the dashboards' variables filled in."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def draw(board: dict[str, Any], source: Source, path: Path) -> None:
    """Draw one dashboard into ``path``."""
    panels = [one for one in board["panels"] if one["type"] != "row"]
    height = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in board["panels"])
    figure = plt.figure(figsize=(15, (height + 1) * ROW_INCHES), facecolor=BACK)
    figure.text(0.012, 1 - 0.6 / (height + 1), board["title"], color=TEXT, size=13, weight="bold")
    total = height + 1
    for row in (one for one in board["panels"] if one["type"] == "row"):
        y = 1 - (row["gridPos"]["y"] + 1.6) / total
        figure.text(0.012, y, row["title"], color=TEXT, size=10, weight="bold")
    for panel in panels:
        grid = panel["gridPos"]
        left, width = grid["x"] / 24, grid["w"] / 24
        bottom, tall = 1 - (grid["y"] + 1 + grid["h"]) / total, grid["h"] / total
        figure.add_artist(
            Rectangle(
                (left + 0.002, bottom + 0.15 / total),
                width - 0.004,
                tall - 0.3 / total,
                facecolor=PANEL,
                edgecolor="#2c3235",
                transform=figure.transFigure,
                zorder=-1,
            )
        )
        wide = (left + 0.035, bottom + 1.5 / total, width - 0.045, tall - 3.0 / total)
        if panel["type"] in ("stat", "table"):
            wide = (left + 0.006, bottom + 0.4 / total, width - 0.012, tall - 1.7 / total)
        elif panel["type"] == "state-timeline":
            wide = (left + 0.035, bottom + 1.1 / total, width - 0.045, tall - 2.5 / total)
        axes = figure.add_axes(wide, facecolor=PANEL)
        axes.set_title(panel["title"], color=TEXT, size=8, loc="left", pad=4)
        _DRAWN[panel["type"]](axes, panel, source)
        axes.tick_params(colors=TEXT, labelsize=6, length=2)
        for spine in axes.spines.values():
            spine.set_visible(False)
    figure.savefig(path, dpi=80, facecolor=BACK)
    plt.close(figure)


def _timeseries(axes: Axes, panel: dict[str, Any], source: Source) -> None:
    lines = list(_lines(panel, source))
    stacked = panel["fieldConfig"]["defaults"].get("custom", {}).get("stacking", {}).get("mode") == "normal"
    if stacked and lines:
        times = sorted({at for _, points in lines for at, _ in points})
        known = [dict(points) for _, points in lines]
        heights = [[one.get(at, 0.0) for at in times] for one in known]
        labels = [name for name, _ in lines]
        axes.stackplot(list(map(_date, times)), *heights, labels=labels, colors=PALETTE, alpha=0.6)
    else:
        for number, (name, points) in enumerate(lines):
            colour = PALETTE[number % len(PALETTE)]
            times, values = [_date(at) for at, _ in points], [value for _, value in points]
            axes.plot(times, values, color=colour, lw=1, label=name)
            axes.fill_between(times, values, color=colour, alpha=0.1)
    axes.set_ylim(bottom=0)
    axes.grid(color="#2c3235", lw=0.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _told(value, panel)))
    _over_time(axes, source)
    if lines:
        box = (0, -0.13)
        legend = axes.legend(loc="upper left", bbox_to_anchor=box, ncol=6, fontsize=6, frameon=False)
        for text in legend.get_texts():
            text.set_color(TEXT)


def _timeline(axes: Axes, panel: dict[str, Any], source: Source) -> None:
    lines = list(_lines(panel, source))
    for number, (_, points) in enumerate(lines):
        for at, value in points:
            _, colour = _word(value, panel)
            axes.barh(number, 1.2 / 86_400, left=_date(at), height=0.8, color=colour, lw=0)
    axes.set_yticks(range(len(lines)), [name for name, _ in lines])
    axes.invert_yaxis()
    _over_time(axes, source)


def _heatmap(axes: Axes, panel: dict[str, Any], source: Source) -> None:
    buckets = sorted(_lines(panel, source), key=lambda one: float(one[0].replace("+Inf", "inf")))
    if buckets:
        times = sorted({at for _, points in buckets for at, _ in points})
        counts = [[dict(points).get(at, 0.0) for at in times] for _, points in buckets]
        below = [[0.0] * len(times), *counts[:-1]]
        cells = [
            [a - b for a, b in zip(up, down, strict=True)] for up, down in zip(counts, below, strict=True)
        ]
        hot = np.ma.masked_less_equal(cells, 0)
        axes.pcolormesh(list(map(_date, times)), range(len(buckets)), hot, cmap="Oranges", shading="nearest")
        axes.set_yticks(range(len(buckets)), [name for name, _ in buckets])
    _over_time(axes, source)


def _stat(axes: Axes, panel: dict[str, Any], source: Source) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    rows = [row for target in panel["targets"] for row in source.now(target["expr"])]
    values = [value for _, value in rows if not math.isnan(value)]
    if not values:
        axes.text(0.5, 0.45, "No data", color=TEXT, size=11, ha="center", va="center")
        return
    defaults = panel["fieldConfig"]["defaults"]
    text, colour = _word(values[0], panel)
    if defaults.get("thresholds") or defaults.get("mappings"):
        axes.set_facecolor(colour)
    axes.text(0.5, 0.45, text, color="white", size=15, weight="bold", ha="center", va="center")


def _table(axes: Axes, panel: dict[str, Any], source: Source) -> None:
    axes.axis("off")
    organize = next(one for one in panel["transformations"] if one["id"] == "organize")["options"]
    names = organize["renameByName"]
    order = sorted(names, key=lambda name: organize["indexByName"].get(name, 99))
    rows = [row for target in panel["targets"] for row in source.now(target["expr"])]
    for column, name in enumerate(order):
        axes.text(column / len(order), 0.93, names[name], color="#8ab8ff", size=7, va="top")
        for number, (labels, value) in enumerate(rows[:8]):
            text, colour = _word(value, panel) if name == "Value" else (labels.get(name, ""), TEXT)
            axes.text(
                column / len(order), 0.78 - number * 0.11, text or "(root)", color=colour, size=7, va="top"
            )


_DRAWN: dict[str, Callable[[Axes, dict[str, Any], Source], None]] = {
    "timeseries": _timeseries,
    "state-timeline": _timeline,
    "heatmap": _heatmap,
    "stat": _stat,
    "table": _table,
}


def _lines(panel: dict[str, Any], source: Source) -> Iterator[tuple[str, Points]]:
    for target in panel["targets"]:
        for labels, points in source.series(target["expr"]):
            name = target.get("legendFormat") or panel["title"]
            for label, value in labels.items():
                name = name.replace("{{" + label + "}}", value or "(root)")
            yield name, points


def _word(value: float, panel: dict[str, Any]) -> tuple[str, str]:
    """The text and the colour of a value."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults.get("mappings", ()):
        found = mapping["options"].get(f"{value:g}")
        if found:
            return found["text"], COLOURS[found["color"]]
    colour = COLOURS["blue"]
    for step in defaults.get("thresholds", {}).get("steps", ()):
        if step.get("value") is None or value >= step["value"]:
            colour = COLOURS.get(step["color"], COLOURS["blue"])
    return _told(value, panel), colour


def _told(value: float, panel: dict[str, Any]) -> str:
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit in ("bytes", "decbytes"):
        return f"{value / 2**20:.3g} MiB"
    if unit == "s" and 0 < abs(value) < 1:
        return f"{value * 1e3:.3g} ms"
    if unit == "dateTimeFromNow":
        return f"{max(0.0, time.time() - value / 1e3):.0f} s ago"
    return f"{value:.4g}" + {"s": " s", "reqps": " req/s"}.get(unit, "")


def _date(at: float) -> float:
    moment: float = dates.date2num(dt.datetime.fromtimestamp(at, dt.UTC))
    return moment


def _over_time(axes: Axes, source: Source) -> None:
    axes.set_xlim(_date(source.began), _date(source.ended))
    axes.xaxis.set_major_locator(dates.AutoDateLocator(maxticks=6))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))


def main() -> None:
    """Run the demo, query Prometheus, and draw the dashboards."""
    folder = Path(sys.argv[1])
    with DemoEnvironment() as environment:
        began = time.time()
        Demo(environment).run()
        environment.load.per_sec = 8
        environment.sidecar.claim(SCOPE, "distressed", reason="loops without progress", source="agent-7")
        eventually(
            lambda: (environment.prometheus.value(f'wellbeing_waiters{{scope="{SCOPE}"}}') or 0) > 10,
            "requests wait",
        )
        source = Source(environment.prometheus.url, began, time.time())
        for board in BOARDS:
            path = folder / f"{board.uid}.png"
            draw(json.loads(rendered(board)), source, path)
            print(f"{path} written")


if __name__ == "__main__":
    main()
