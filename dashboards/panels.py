"""A few kinds of panels, as values; made into what Grafana reads by its own SDK."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH = 24
STATES = {
    "0": ("healthy", "green"),
    "1": ("cautious", "yellow"),
    "2": ("concerned", "orange"),
    "3": ("distressed", "red"),
}
GATE = {"0": ("open", "green"), "1": ("closed", "red")}
YES = {"0": ("no", "green"), "1": ("yes", "red")}
NO = {"0": ("no", "red"), "1": ("yes", "green")}

NAMED = '/text="(?<text>[^"]+)".*value="(?<value>[^"]+)"/'


def scopes(expression: str) -> str:
    """``expression``, a vector by scope, with the root's name shown."""
    return f'label_replace({expression}, "scope", "(root)", "scope", "")'


def first_counted(counter: str, by: str, window: str) -> str:
    """How much ``counter`` grew; what a series begins with counts, which ``increase`` leaves out."""
    now, before = f"sum by ({by}) ({counter})", f"sum by ({by}) ({counter} offset {window})"
    return f"clamp_min({now} - ({before} or {now} * 0), 0)"


Thresholds = tuple[tuple[float | None, str], ...]
Words = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        description: what it means, for who hovers over it.
        queries: PromQL with a legend.
        kind: ``timeseries``, ``stat``, ``table``, ``timeline`` or ``heatmap``.
        unit: Grafana's name of the unit.
        width: of 24.
        height: in Grafana's rows.
        thresholds: values with the colour from there on.
        words: what numbers mean, with their colours.
        stack: whether series are stacked.
        columns: of a table: what labels are called; others are left out.
        bound: the most that an axis shows.
        links: of a table: its scopes lead to their own dashboard.
    """

    title: str
    description: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 12
    height: int = 8
    thresholds: Thresholds = ()
    words: Words = field(default_factory=dict)
    stack: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    bound: float | None = None
    links: bool = False


@dataclass(frozen=True)
class Row:
    """A heading over panels."""

    title: str


@dataclass(frozen=True)
class Board:
    """One dashboard.

    Attributes:
        uid: stays the same for ever.
        title: what it is called.
        description: what it is for.
        variables: name, label and the query for its values, and whether it may have many.
        parts: rows and panels, in order.
        annotations: name, colour and query.
    """

    uid: str
    title: str
    description: str
    variables: tuple[tuple[str, str, str, bool], ...]
    parts: tuple[Panel | Row, ...]
    annotations: tuple[tuple[str, str, str], ...] = ()


def build(board: Board) -> models.Dashboard:
    """The dashboard as Grafana's SDK has it."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["wellbeing"])
        .editable()
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Wellbeing")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["wellbeing"])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for name, label, query, many in board.variables:
        # What a scope is called, and what matches it: the root's is the empty text.
        regex = NAMED if query.startswith("query_result(") else ""
        variable = (
            dashboard.QueryVariable(name)
            .label(label)
            .query(query)
            .datasource(SOURCE)
            .regex(regex)
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(models.VariableSort.ALPHABETICAL_ASC)
        )
        if many:
            # The root's scope is the empty text, which only an expression matches.
            variable = variable.multi(True).include_all(True).all_value(".*")
        made = made.with_variable(variable)
    for name, colour, query in board.annotations:
        made = made.annotation(_annotation(name, colour, query))
    for number, part in enumerate(board.parts, start=1):
        if isinstance(part, Row):
            made = made.with_row(dashboard.Row(part.title).id(number))
        else:
            made = made.with_panel(_panel(part).id(number))
    return made.build()


def _annotation(name: str, colour: str, query: str) -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(colour).expr(query)
    )


def _panel(panel: Panel) -> Any:  # noqa: ANN401 - the SDK's builders share no base with these methods
    make = {
        "timeseries": _timeseries,
        "stat": _stat,
        "table": _table,
        "timeline": _timeline,
        "heatmap": _heatmap,
    }
    made = make[panel.kind](panel)
    made = (
        made.title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .span(panel.width)
        .height(panel.height)
    )
    for number, (expression, legend) in enumerate(panel.queries):
        made = made.with_target(_query(panel, expression, legend, "ABCDEFGH"[number]))
    return made


def _query(panel: Panel, expression: str, legend: str, ref: str) -> Any:  # noqa: ANN401
    query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(ref).datasource(SOURCE)
    query = query.instant() if panel.kind in ("stat", "table") else query.range()
    if panel.kind == "table":
        query = query.format(PromQueryFormat.TABLE)
    elif panel.kind == "heatmap":
        query = query.format(PromQueryFormat.HEATMAP)
    return query


def _with_fields(made: Any, panel: Panel) -> Any:  # noqa: ANN401
    made = made.unit(panel.unit)
    if panel.bound is not None:
        made = made.max(panel.bound)
    if panel.thresholds:
        steps = [models.Threshold(value=value, color=colour) for value, colour in panel.thresholds]
        made = made.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    if panel.words:
        made = made.mappings([_words(panel.words)])
    return made


def _words(words: Words) -> models.ValueMap:
    options = {
        value: models.ValueMappingResult(text=text, color=colour, index=number)
        for number, (value, (text, colour)) in enumerate(words.items())
    }
    return models.ValueMap(options=options)


def _timeseries(panel: Panel) -> Any:  # noqa: ANN401
    made = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(10)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
        .min(0)
    )
    if panel.thresholds:
        style = common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
        made = made.thresholds_style(style)
    if panel.stack:
        made = made.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL)).fill_opacity(40)
    return _with_fields(made, panel)


def _stat(panel: Panel) -> Any:  # noqa: ANN401
    made = stat.Panel().graph_mode(common_models.BigValueGraphMode.NONE)
    made = made.color_mode(
        common_models.BigValueColorMode.BACKGROUND
        if panel.thresholds or panel.words
        else common_models.BigValueColorMode.VALUE
    )
    return _with_fields(made, panel)


def _table(panel: Panel) -> Any:  # noqa: ANN401
    renamed = {**panel.columns, "Value": panel.columns.get("Value", "value")}
    order = {name: number for number, name in enumerate([*panel.columns])}
    organize = models.DataTransformerConfig(
        id_val="organize",
        options={"excludeByName": {"Time": True}, "renameByName": renamed, "indexByName": order},
    )
    keep = models.DataTransformerConfig(
        id_val="filterFieldsByName", options={"include": {"names": [*renamed]}}
    )
    made = table.Panel().with_transformation(keep).with_transformation(organize)
    if panel.words or panel.thresholds:
        made = made.cell_options(common_models.TableColorTextCellOptions())
    if panel.links:
        url = "/d/wellbeing-scope?var-scope=${__data.fields.scope}&var-datasource=${datasource}&${__url_time_range}"
        link = dashboard.DashboardLink("This scope").type(models.DashboardLinkType.LINK).url(url)
        made = made.data_links([link])
    return _with_fields(made, panel)


def _timeline(panel: Panel) -> Any:  # noqa: ANN401
    made = (
        statetimeline.Panel()
        .merge_values(True)
        .show_value(common_models.VisibilityMode.NEVER)
        .row_height(0.8)
    )
    return _with_fields(made, panel)


def _heatmap(panel: Panel) -> Any:  # noqa: ANN401
    # The builder's zeros would leave Grafana without a palette.
    colour = (
        heatmap.HeatmapColorOptions()
        .scheme("Oranges")
        .mode(heatmap_models.HeatmapColorMode.SCHEME)
        .steps(64)
        .exponent(0.5)
        .fill("dark-orange")
    )
    made = heatmap.Panel().calculate(False).color(colour)
    return made.y_axis(heatmap.YAxisConfig().unit(panel.unit))
