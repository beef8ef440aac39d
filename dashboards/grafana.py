"""Builds Grafana's JSON model of a dashboard with Grafana's own SDK."""

from __future__ import annotations

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

from .panels import Board, Panel, Row, Words

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
NAMED = '/text="(?<text>[^"]+)".*value="(?<value>[^"]+)"/'
"""Takes a variable's text and value from a query's labels."""


def build(board: Board) -> models.Dashboard:
    """Grafana's model of ``board``."""
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
        .link(
            dashboard.DashboardLink("Sidecar's page")
            .type(models.DashboardLinkType.LINK)
            .url("${page}/")
            .icon("external link")
            .tooltip("The status page of the sidecar, at the address in the variable Page")
            .target_blank(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for name, label, query, many in board.variables:
        # The text that is shown for a scope differs from the value that matches it: the root's value is empty.
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
            # The root's scope is the empty string, which "All" must match too.
            variable = variable.multi(True).include_all(True).all_value(".*")
        made = made.with_variable(variable)
    made = made.with_variable(
        dashboard.TextBoxVariable("page").label("Page").default_value("http://127.0.0.1:9477")
    )
    made = made.annotation(_hook_annotation())
    for name, colour, query in board.annotations:
        made = made.annotation(_annotation(name, colour, query))
    for number, part in enumerate(board.parts, start=1):
        if isinstance(part, Row):
            made = made.with_row(dashboard.Row(part.title).id(number))
        else:
            made = made.with_panel(_panel(part).id(number))
    return made.build()


def _hook_annotation() -> dashboard.AnnotationQuery:
    """The annotations that a hook with the format grafana writes: each pause as a region, with its reason."""
    tagged = dashboard.AnnotationTarget().type("tags").tags(["wellbeing"]).limit(100).match_any(False)
    return (
        dashboard.AnnotationQuery()
        .name("Pauses by the hook")
        .datasource(models.DataSourceRef(type_val="grafana", uid="-- Grafana --"))
        .enable(True)
        .icon_color("purple")
        .target(tagged)
    )


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
    # With the builder's zeros, Grafana would have no palette.
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
