"""Makes the table, the plot and the page of the docs from the JSON of a run.

``python -m bench.report`` takes ``bench/results/benchmark.json`` over into ``docs/explanation/``.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from .figures import Told, told
from .sizes import FULL, SHORT, Sizes

_ROOT = Path(__file__).parents[1]
_MARKED = re.compile(r"(<!-- begin: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_OURS, _PEER = "#2a6fb0", "#b0662a"
_FIRST_MEDIAN_LAST = ("first", "median", "last")


def table(lines: Sequence[Told]) -> str:
    """All figures in Markdown: name, ours, the peer's, the ratio, the target, met or not."""
    rows = ["| | what | unit | ours | peer | its | ratio | bar | |", "|" + " --- |" * 9]
    for one in lines:
        figure = one.figure
        cells = (
            figure.scenario,
            figure.what,
            figure.unit,
            str(one.ours),
            figure.peer,
            str(one.theirs or ""),
            str(one.ratio or ""),
            figure.bar,
            one.verdict,
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def bars(lines: Sequence[Told]) -> str:
    """The figures that have a target, in Markdown."""
    rows = ["| what | measured | bar | |", "| --- | --- | --- | --- |"]
    for one in lines:
        if one.met is not None:
            figure = one.figure
            measured = _measured(one)
            rows.append(f"| {figure.what}, {figure.unit} | {measured} | {figure.bar} | {one.verdict} |")
    return "\n".join(rows)


def _measured(one: Told) -> str:
    figure = one.figure
    if one.over:
        return f"{one.over} {figure.unit} over {figure.peer}"
    return f"{one.ratio} times {figure.peer}" if one.ratio else f"{one.ours} {figure.unit}"


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw throughput, latency, fan-out and memory; what was not measured is left out."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        canvas = Canvas(figsize=(11, 7.5), layout="constrained")
        plots = canvas.subplots(2, 2)
        rounds, sizes = result["rounds"], _sizes(result)
        if f"open.{sizes.connections[0]}.per_sec.ours" in rounds[0]:
            _throughput(plots[0][0], rounds, sizes)
            _latency(plots[0][1], rounds, sizes)
        if f"park.{sizes.most_waiters}.memory.ours" in rounds[0]:
            _wakes(plots[1][0], rounds, sizes)
            _memory(plots[1][1], rounds, sizes)
        canvas.savefig(path, dpi=110)


def _sizes(result: dict[str, Any]) -> Sizes:
    return SHORT if result["form"] == "short" else FULL


def _median(rounds: list[dict[str, float]], name: str) -> float:
    return statistics.median(one[name] for one in rounds)


def _errors(rounds: list[dict[str, float]], names: Sequence[str]) -> list[list[float]]:
    """The distances from the median to the minimum and to the maximum."""
    medians = [_median(rounds, name) for name in names]
    return [
        [median - min(one[name] for one in rounds) for median, name in zip(medians, names, strict=True)],
        [max(one[name] for one in rounds) - median for median, name in zip(medians, names, strict=True)],
    ]


def _pairs(
    plot: Axes, rounds: list[dict[str, float]], labels: Sequence[str], names: Sequence[str], peer: str
) -> None:
    """Draw two bars for each label: ours and the peer's."""
    for offset, who, colour in ((-0.2, "ours", _OURS), (0.2, peer, _PEER)):
        full = [f"{name}.{who}" for name in names]
        plot.bar(
            [index + offset for index in range(len(labels))],
            [_median(rounds, name) for name in full],
            0.4,
            yerr=_errors(rounds, full),
            color=colour,
            label=who,
            capsize=2,
        )
    plot.set_xticks(range(len(labels)), labels)
    plot.legend(frameon=False)


def _throughput(plot: Axes, rounds: list[dict[str, float]], sizes: Sizes) -> None:
    labels = [f"{count} conn." for count in sizes.connections]
    _pairs(plot, rounds, labels, [f"open.{count}.per_sec" for count in sizes.connections], "nginx")
    plot.set_title("Open gate, requests/s")


def _latency(plot: Axes, rounds: list[dict[str, float]], sizes: Sizes) -> None:
    both = [
        (count, key, shown)
        for count in sizes.connections
        for key, shown in (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"))
    ]
    labels = [f"{shown}\n{count} conn." for count, _, shown in both]
    _pairs(plot, rounds, labels, [f"open.{count}.{key}" for count, key, _ in both], "nginx")
    plot.set_yscale("log")
    plot.set_title("Open gate, latency, µs")


def _wakes(plot: Axes, rounds: list[dict[str, float]], sizes: Sizes) -> None:
    for kind, who, label, colour in (
        ("wake", "ours", "waiters", _OURS),
        ("watch", "ours", "watchers", "#5aa469"),
        ("wake", "nchan", "nchan", _PEER),
    ):
        for name, style in zip(_FIRST_MEDIAN_LAST, (":", "--", "-"), strict=True):
            names = [f"{kind}.{count}.{name}.{who}" for count in sizes.waiters]
            shown = f"{label}, {name}"
            _medians(plot, rounds, sizes.waiters, names, colour=colour, label=shown, style=style)
    plot.set_xscale("log")
    plot.set_yscale("log")
    plot.set_xlabel("parked")
    plot.legend(frameon=False, fontsize=7)
    plot.set_title("From resume or change to responses, ms")


def _medians(
    plot: Axes,
    rounds: list[dict[str, float]],
    counts: Sequence[int],
    names: list[str],
    *,
    colour: str,
    label: str,
    style: str = "-",
) -> None:
    """Draw the medians of the figures ``names`` over ``counts``, with their ranges."""
    plot.errorbar(
        counts,
        [_median(rounds, one) for one in names],
        yerr=_errors(rounds, names),
        color=colour,
        linestyle=style,
        marker=".",
        capsize=2,
        label=label,
    )


def _memory(plot: Axes, rounds: list[dict[str, float]], sizes: Sizes) -> None:
    for who, colour in (("ours", _OURS), ("nchan", _PEER)):
        names = [f"park.{count}.memory.{who}" for count in sizes.weighed_waiters]
        _medians(plot, rounds, sizes.weighed_waiters, names, colour=colour, label=who)
    plot.set_xscale("log")
    plot.set_ylim(bottom=0)
    plot.set_xlabel("parked")
    plot.legend(frameon=False)
    plot.set_title("Memory per parked request, kB")


def _where(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return (
        f"{result['at'][:10]}, {len(result['rounds'])} rounds in {result['took_secs'] / 60:.0f} minutes; "
        f"{machine['cores']} cores of {machine['processor']}, Linux {machine['kernel']}, "
        f"Python {machine['python']}."
    )


def write(page: Path, result: dict[str, Any]) -> None:
    """Write the results between the marks of the page."""
    lines = told(result["rounds"], _sizes(result))
    parts = {"where": _where(result), "bars": bars(lines), "all": table(lines)}
    text = page.read_text()
    page.write_text(_MARKED.sub(lambda found: f"{found[1]}{parts[found[2]]}\n{found[3]}", text))


def main() -> None:
    """Write the results of a run into the docs."""
    parser = argparse.ArgumentParser(prog="bench.report", description=main.__doc__)
    parser.add_argument("--json", type=Path, default=_ROOT / "bench" / "results" / "benchmark.json")
    parser.add_argument("--docs", type=Path, default=_ROOT / "docs" / "explanation")
    options = parser.parse_args()
    kept = options.docs / "benchmark.json"
    if options.json.resolve() != kept.resolve():
        shutil.copyfile(options.json, kept)
    result = json.loads(kept.read_text())
    draw(result, options.docs / "benchmark.png")
    write(options.docs / "benchmark.md", result)


if __name__ == "__main__":
    main()
