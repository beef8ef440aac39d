"""The dashboards' JSON: it is up to date, valid for Grafana, and uses existing metrics."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.build import BOARDS, files_of, published, rendered
from harness.schemas import schemas

BOARD = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)


def schema() -> dict:
    return json.loads((schemas() / "grafana-dashboard.jsonschema.json").read_text())


@BOARD
def test_the_committed_json_equals_what_the_program_builds(board) -> None:
    for path, text in files_of(board).items():
        assert path.read_text() == text, "run `make dashboards`"


@BOARD
def test_the_published_form_asks_for_the_data_source_without_a_variable(board) -> None:
    raw = json.loads(published(board))
    assert [one["name"] for one in raw["__inputs"]] == ["DS_PROMETHEUS"]
    assert raw["description"]
    assert raw["id"] is None
    assert "${datasource}" not in published(board).replace("var-datasource=${DS_PROMETHEUS}", "")
    names = [one["name"] for one in raw["templating"]["list"]]
    assert {"cluster", "instance", "page"} <= set(names)
    assert "datasource" not in names


@BOARD
def test_every_query_of_a_sidecar_series_is_limited_to_the_selected_sidecars(board) -> None:
    for panel in json.loads(rendered(board))["panels"]:
        for target in panel.get("targets", ()):
            for selector in re.findall(r"wellbeing_\w+\{([^}]*)\}", target["expr"]):
                assert "$cluster" in selector
                assert "$instance" in selector


@BOARD
def test_every_dashboard_matches_the_schema_of_grafana(board) -> None:
    jsonschema.validate(json.loads(rendered(board)), schema())


def test_the_schema_catches_a_misspelt_key() -> None:
    wrong = json.loads(rendered(BOARDS[0]))
    wrong["panels"][1]["titel"] = "x"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema())


@BOARD
def test_every_dashboard_is_parsed_by_the_sdk_without_loss(board) -> None:
    raw = json.loads(rendered(board))
    back = Dashboard.from_json(raw)
    assert json.loads(JSONEncoder(sort_keys=True).encode(back)) == raw


@BOARD
def test_every_panel_has_a_description(board) -> None:
    raw = json.loads(rendered(board))
    panels = [panel for panel in raw["panels"] if panel["type"] != "row"]
    ids = [panel["id"] for panel in raw["panels"]]
    assert len(ids) == len(set(ids))
    # Grafana treats a value that the SDK leaves at zero as no palette.
    assert '"steps": 0' not in rendered(board)
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        refs = [target["refId"] for target in panel["targets"]]
        assert refs
        assert len(refs) == len(set(refs))
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        right = panel["gridPos"]["x"] + panel["gridPos"]["w"]
        assert right <= 24


def test_uids_are_stable_and_links_point_to_existing_dashboards() -> None:
    assert [board.uid for board in BOARDS] == ["wellbeing-fleet", "wellbeing-scope", "wellbeing-sidecar"]
    for board in BOARDS:
        raw = json.loads(rendered(board))
        assert raw["tags"] == ["wellbeing"]
        assert [link["tags"] for link in raw["links"]] == [["wellbeing"], []]
