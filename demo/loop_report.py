"""What came of the closed loop, as tables and pictures: ``python -m demo.loop_report RESULTS.json docs/loop.md``.

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

from .loop import CAUSES, WAYS

MARKERS = "<!-- results: written by demo.loop_report -->", "<!-- end of results -->"
TITLES = {"vllm": "vLLM", "sglang": "SGLang"}

Told = dict[str, Any]


def tables(told: Told) -> str:
    """Markdown: a table an engine."""
    lines: list[str] = []
    for kind, title in TITLES.items():
        lines += [
            f"**{title}**",
            "",
            "| cause | paused by | closed after | pauses | after the cause | open for good after | lost |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for cause in CAUSES:
            for way in WAYS:
                pair = [_result(told, kind, cause, way, damped=damped) for damped in (False, True)]
                lines.append(f"| {cause} | {way} | " + " | ".join(_cells(pair)) + " |")
        lines.append("")
    return "\n".join(lines)


def _cells(pair: list[Told]) -> list[str]:
    def both(show: Any) -> str:  # noqa: ANN401 - of one result, its cell
        return " / ".join(show(one) for one in pair)

    def secs(name: str) -> str:
        return both(lambda one: "never" if one[name] is None else f"{one[name]:.0f} s")

    return [
        secs("closed"),
        both(lambda one: str(one["pauses"])),
        both(lambda one: str(one["pauses_after"])),
        secs("recovered"),
        both(lambda one: f"{one['lost'] / max(1, one['lost'] + one['answered']):.0%}"),
    ]


def _result(told: Told, kind: str, cause: str, way: str, *, damped: bool) -> Told:
    wanted = {"kind": kind, "cause": cause, "way": way, "damped": damped}
    found: Told = next(one for one in told["results"] if wanted.items() <= one.items())
    return found


def draw(told: Told, kind: str, path: Path, *, damped: bool) -> None:
    """Requests in the engine and at the gate, with the times when it was closed, for each cause and way."""
    figure, rows = plt.subplots(len(CAUSES), len(WAYS), figsize=(13, 10), sharex=True, squeeze=False)
    for cause, row in zip(CAUSES, rows, strict=True):
        for way, axes in zip(WAYS, row, strict=True):
            result = _result(told, kind, cause, way, damped=damped)
            _panel(axes, told["series"][result["name"]], result)
            axes.set_title(f"{cause}, {way}", fontsize=10)
    for axes in rows[-1]:
        axes.set_xlabel("seconds since the cause")
    rows[0][0].legend(loc="upper right", fontsize=8)
    settings = "damping and ramp" if damped else "neither damping nor ramp"
    figure.suptitle(f"{TITLES[kind]}, {settings}; grey: the gate is closed, red: the cause is there")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _panel(axes: Axes, series: dict[str, list[list[float]]], result: Told) -> None:
    for when, value in series.get("closed", []):
        if value:
            axes.axvspan(when, when + 1, color="#bbbbbb", linewidth=0)
    for name, label, colour in (
        ("inside", "in the engine", "#3274d9"),
        ("at_gate", "at the gate", "#ff780a"),
    ):
        points = series.get(name, [])
        axes.plot([x for x, _ in points], [y for _, y in points], color=colour, label=label, linewidth=1.2)
    axes.axvspan(0, result["mended"], ymin=0.97, color="#e02f44", linewidth=0)
    axes.set_ylim(bottom=0)


def main() -> None:
    """Write the page's tables, and the pictures."""
    told: Told = json.loads(Path(sys.argv[1]).read_text())
    page = Path(sys.argv[2])
    begin, end = MARKERS
    text = f"{begin}\n\n{tables(told)}\n{end}"
    page.write_text(
        re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: text, page.read_text(), flags=re.DOTALL)
    )
    folder = page.parent / "loop"
    folder.mkdir(exist_ok=True)
    for kind in TITLES:
        for damped in (False, True):
            draw(told, kind, folder / f"{kind}{'-damped' if damped else ''}.png", damped=damped)


if __name__ == "__main__":
    main()
