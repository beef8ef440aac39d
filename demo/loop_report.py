"""Writes the results of the closed loop as tables and pictures: ``python -m demo.loop_report RESULTS.json docs/explanation/loop.md``.

The tables are written between two markers of the page, the pictures into the folder ``loop`` beside it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from .engine.dialects import Kind
from .loop_cases import CAUSES, POD_GROUPS, SETTINGS, WAYS, WAYS_AT_THE_GATE, Cause, settings_of

MARKERS = "<!-- results: written by demo.loop_report -->", "<!-- end of results -->"
WAYS_MARKERS = "<!-- ways: written by demo.loop_report -->", "<!-- end of ways -->"
WAY_NAMES = {"gate": "pause", "restricted": "restriction", "trial": "pause, then trial"}
TITLES: dict[Kind, str] = {"vllm": "vLLM", "sglang": "SGLang"}

Json = dict[str, Any]


def tables(data: Json) -> str:
    """Markdown: the kind of run, and a table for each engine."""
    cases, minutes, failed = len(data["results"]), data["secs"] / 60, data["failed_scrapes"]
    planted = "stayed closed" if data["planted_holds"] else "**opened**"
    lines = [
        f"{cases} cases in {minutes:.0f} minutes; {failed:.1%} of the scrapes failed. The planted rule's gate {planted}.",
        "",
    ]
    for kind, title in TITLES.items():
        lines += [
            f"**{title}**",
            "",
            f"| cause | paused by | closed after | {' | '.join(SETTINGS)} |",
            "| --- | --- | --- |" + " --- |" * len(SETTINGS),
        ]
        for cause, busy in _rows(data):
            for way in WAYS:
                found = [_result(data, kind, cause, way, setting, busy=busy) for setting in SETTINGS]
                name = f"{cause}, busy" if busy else cause
                first = next((one for one in found if one), None)
                if first is None:
                    continue
                cells = [_secs(first["closed"]), *map(_cell, found)]
                lines.append(f"| {name} | {way} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def ways_table(data: Json) -> str:
    """Markdown: the effect of restrictions and trials, and of a bad rule on groups of engines."""
    minutes, failed = data["secs"] / 60, data["failed_scrapes"]
    lines = [
        f"{minutes:.1f} minutes; {failed:.1%} of the scrapes failed.",
        "",
        "| cause | way | closed or restricted | recovered | answered/s until then | lost | of them, engine still broken |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case in WAYS_AT_THE_GATE:
        found = _result(data, case.kind, case.cause, case.way, case.setting, busy=case.busy)
        if found is None:
            continue
        before = found["pauses"] - found["pauses_after"]
        goodput, unmended = found["goodput_closed"], found["lost_unmended"]
        cells = (
            case.cause,
            WAY_NAMES[case.way],
            f"{before}+{found['pauses_after']}",
            _secs(found["recovered"]),
            "" if goodput is None or case.cause != "overload" else f"{goodput:.1f}",
            str(found["lost"]),
            "" if unmended is None else str(unmended),
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| `max_paused_share` | engines | paused to the end | requests answered |",
        "| --- | --- | --- | --- |",
    ]
    for group in data["pods"]:
        share = POD_GROUPS[group["name"]]
        name = f"{share:g}" if share else "0: any number"
        lines.append(f"| {name} | {group['pods']} | {group['paused']} | {group['answered']:.0%} |")
    return "\n".join([*lines, ""])


def _rows(data: Json) -> list[tuple[Cause, bool]]:
    busy = {one["cause"] for one in data["results"] if one["busy"]}
    return [(cause, False) for cause in CAUSES] + [(cause, True) for cause in CAUSES if cause in busy]


def _cell(one: Json | None) -> str:
    if one is None:
        return ""
    lost = one["lost"] / max(1, one["lost"] + one["answered"])
    before = one["pauses"] - one["pauses_after"]
    return f"{before}+{one['pauses_after']}, {_secs(one['recovered'])}, {lost:.0%}"


def _secs(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f} s"


def _result(data: Json, kind: str, cause: str, way: str, setting: str, *, busy: bool) -> Json | None:
    wanted = {"kind": kind, "cause": cause, "way": way, "setting": setting, "busy": busy}
    return next((one for one in data["results"] if wanted.items() <= one.items()), None)


def draw(data: Json, kind: Kind, path: Path, *, fully: bool) -> None:
    """Requests in the engine and at the gate, with the times when it was closed, for each cause and way.

    Args:
        data: the results of the runs.
        kind: the kind of engine.
        path: the path of the picture.
        fully: whether to show all settings that matter for the way, or none.
    """
    causes = _rows(data)
    figure, rows = plt.subplots(len(causes), len(WAYS), figsize=(13, 2.4 * len(causes)), squeeze=False)
    for (cause, busy), row in zip(causes, rows, strict=True):
        for way, axes in zip(WAYS, row, strict=True):
            setting = settings_of(kind, way, busy=busy)[-1] if fully else "none"
            result = _result(data, kind, cause, way, setting, busy=busy)
            if result is None:
                continue
            _panel(axes, data["series"][result["name"]], result)
            axes.set_title(f"{cause}{', busy' if busy else ''}, {way}", fontsize=10)
    for axes in rows[-1]:
        axes.set_xlabel("seconds since the cause")
    rows[0][0].legend(loc="upper right", fontsize=8)
    settings = "damping, and ramp at the gate" if fully else "neither damping nor ramp"
    figure.suptitle(f"{TITLES[kind]}, {settings}; grey: the gate is closed, red: the cause is there")
    figure.tight_layout(rect=(0, 0, 1, 0.99))
    figure.savefig(path, dpi=80)
    plt.close(figure)


def draw_ways(data: Json, path: Path) -> None:
    """The same for each case of `WAYS_AT_THE_GATE`."""
    figure, rows = plt.subplots(2, 2, figsize=(13, 5), squeeze=False)
    for case, axes in zip(WAYS_AT_THE_GATE, rows.flat, strict=True):
        result = _result(data, case.kind, case.cause, case.way, case.setting, busy=case.busy)
        if result is not None:
            _panel(axes, data["series"][result["name"]], result)
        axes.set_title(f"{case.cause}, {WAY_NAMES[case.way]}", fontsize=10)
    rows[0][0].legend(loc="upper right", fontsize=8)
    figure.suptitle("Grey: the gate is closed; yellow: it is restricted or on trial; red: the cause is there")
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _panel(axes: Axes, series: dict[str, list[list[float]]], result: Json) -> None:
    for when, value in series.get("closed", []):
        if value:
            axes.axvspan(when, when + 1, color="#bbbbbb", linewidth=0)
    for when, value in series.get("restricted", []):
        if value:
            axes.axvspan(when, when + 1, color="#f2e3a0", linewidth=0)
    for name, label, colour in (
        ("inside", "in the engine", "#3274d9"),
        ("at_gate", "at the gate", "#ff780a"),
    ):
        points = series.get(name, [])
        axes.plot([x for x, _ in points], [y for _, y in points], color=colour, label=label, linewidth=1.2)
    # The values do not change after the case has settled.
    axes.set_xlim(-10, max(150.0, result["mended"] + (result["recovered"] or 300.0) + 60))
    axes.plot(
        [0, result["mended"]],
        [0.98, 0.98],
        transform=axes.get_xaxis_transform(),
        color="#e02f44",
        linewidth=3,
    )
    axes.set_ylim(bottom=0)


def _write(page: Path, markers: tuple[str, str], table: str) -> None:
    begin, end = markers
    text = f"{begin}\n\n{table}\n{end}"
    page.write_text(
        re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: text, page.read_text(), flags=re.DOTALL)
    )


def main() -> None:
    """Write the page's tables and the pictures. For the short form, print the tables only."""
    data: Json = json.loads(Path(sys.argv[1]).read_text())
    if data["short"]:
        print(tables(data))
        return
    page = Path(sys.argv[2])
    folder = page.parent / "loop"
    folder.mkdir(exist_ok=True)
    _write(page, WAYS_MARKERS, ways_table(data))
    draw_ways(data, folder / "ways.png")
    if data["ways"]:
        return
    _write(page, MARKERS, tables(data))
    for kind in TITLES:
        for fully in (False, True):
            draw(data, kind, folder / f"{kind}{'-settings' if fully else ''}.png", fully=fully)


if __name__ == "__main__":
    main()
