function(t) {
 "annotations": {
  "list": [
   {
    "builtIn": 0,
    "datasource": {
     "type": "grafana",
     "uid": "-- Grafana --"
    },
    "enable": true,
    "hide": false,
    "iconColor": "purple",
    "name": "Pauses by the hook",
    "target": {
     "limit": 100,
     "matchAny": false,
     "tags": [
      "wellbeing"
     ],
     "type": "tags"
    }
   },
   {
    "builtIn": 0,
    "datasource": {
     "type": "prometheus",
     "uid": "${datasource}"
    },
    "enable": true,
    "expr": "max(wellbeing_paused{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}) > 0",
    "hide": false,
    "iconColor": "red",
    "name": "Pauses"
   },
   {
    "builtIn": 0,
    "datasource": {
     "type": "prometheus",
     "uid": "${datasource}"
    },
    "enable": true,
    "expr": "max by (scope) (clamp_min(wellbeing_interventions_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} - (wellbeing_interventions_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} offset 1m or wellbeing_interventions_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} * 0), 0)) > 0",
    "hide": false,
    "iconColor": "orange",
    "name": "Interventions"
   }
  ]
 },
 "description": "One scope: its state, its signals, its pauses, what happened to its requests, and its engine.",
 "editable": true,
 "fiscalYearStartMonth": 0,
 "graphTooltip": 1,
 "links": [
  {
   "asDropdown": true,
   "icon": "",
   "includeVars": true,
   "keepTime": true,
   "tags": [
    "wellbeing"
   ],
   "targetBlank": false,
   "title": "Wellbeing",
   "tooltip": "",
   "type": "dashboards"
  },
  {
   "asDropdown": false,
   "icon": "external link",
   "includeVars": false,
   "keepTime": false,
   "tags": [],
   "targetBlank": true,
   "title": "Sidecar's page",
   "tooltip": "The status page of the sidecar, at the address in the variable Page",
   "type": "link",
   "url": "${page}/"
  }
 ],
 "panels": [
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "The effective state: the worst of the scope's own state and its ancestors' states.",
   "fieldConfig": {
    "defaults": {
     "mappings": [
      {
       "options": {
        "0": {
         "color": "green",
         "index": 0,
         "text": "healthy"
        },
        "1": {
         "color": "yellow",
         "index": 1,
         "text": "cautious"
        },
        "2": {
         "color": "orange",
         "index": 2,
         "text": "concerned"
        },
        "3": {
         "color": "red",
         "index": 3,
         "text": "distressed"
        }
       },
       "type": "value"
      }
     ],
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 4,
    "x": 0,
    "y": 0
   },
   "id": 1,
   "options": {
    "colorMode": "background",
    "graphMode": "none",
    "justifyMode": "auto",
    "orientation": "auto",
    "percentChangeColorMode": "standard",
    "reduceOptions": {
     "calcs": []
    },
    "showPercentChange": false,
    "textMode": "auto",
    "wideLayout": true
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max(wellbeing_state_level{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"})",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "State",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "While the gate is closed, requests wait.",
   "fieldConfig": {
    "defaults": {
     "mappings": [
      {
       "options": {
        "0": {
         "color": "green",
         "index": 0,
         "text": "open"
        },
        "1": {
         "color": "red",
         "index": 1,
         "text": "closed"
        }
       },
       "type": "value"
      }
     ],
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 4,
    "x": 4,
    "y": 0
   },
   "id": 2,
   "options": {
    "colorMode": "background",
    "graphMode": "none",
    "justifyMode": "auto",
    "orientation": "auto",
    "percentChangeColorMode": "standard",
    "reduceOptions": {
     "calcs": []
    },
    "showPercentChange": false,
    "textMode": "auto",
    "wideLayout": true
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max(wellbeing_paused{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"})",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Gate",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "How long the gate has been closed; 0 if it is open.",
   "fieldConfig": {
    "defaults": {
     "thresholds": {
      "mode": "absolute",
      "steps": [
       {
        "color": "green",
        "value": null
       },
       {
        "color": "yellow",
        "value": 1
       },
       {
        "color": "red",
        "value": 600
       }
      ]
     },
     "unit": "s"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 4,
    "x": 8,
    "y": 0
   },
   "id": 3,
   "options": {
    "colorMode": "background",
    "graphMode": "none",
    "justifyMode": "auto",
    "orientation": "auto",
    "percentChangeColorMode": "standard",
    "reduceOptions": {
     "calcs": []
    },
    "showPercentChange": false,
    "textMode": "auto",
    "wideLayout": true
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max(wellbeing_current_pause_duration_seconds{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"})",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Closed for",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Requests that wait now.",
   "fieldConfig": {
    "defaults": {
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 4,
    "x": 12,
    "y": 0
   },
   "id": 4,
   "options": {
    "colorMode": "value",
    "graphMode": "none",
    "justifyMode": "auto",
    "orientation": "auto",
    "percentChangeColorMode": "standard",
    "reduceOptions": {
     "calcs": []
    },
    "showPercentChange": false,
    "textMode": "auto",
    "wideLayout": true
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(wellbeing_waiters{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"})",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Waiting",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "The share of the last hour for which the scope was paused.",
   "fieldConfig": {
    "defaults": {
     "thresholds": {
      "mode": "absolute",
      "steps": [
       {
        "color": "green",
        "value": null
       },
       {
        "color": "yellow",
        "value": 0.01
       },
       {
        "color": "red",
        "value": 0.1
       }
      ]
     },
     "unit": "percentunit"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 4,
    "x": 16,
    "y": 0
   },
   "id": 5,
   "options": {
    "colorMode": "background",
    "graphMode": "none",
    "justifyMode": "auto",
    "orientation": "auto",
    "percentChangeColorMode": "standard",
    "reduceOptions": {
     "calcs": []
    },
    "showPercentChange": false,
    "textMode": "auto",
    "wideLayout": true
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max(wellbeing:paused:ratio_rate1h{scope=~\"$scope\"})",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Paused, last hour",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "How often the scope was paused.",
   "fieldConfig": {
    "defaults": {
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 4,
    "x": 20,
    "y": 0
   },
   "id": 6,
   "options": {
    "colorMode": "value",
    "graphMode": "none",
    "justifyMode": "auto",
    "orientation": "auto",
    "percentChangeColorMode": "standard",
    "reduceOptions": {
     "calcs": []
    },
    "showPercentChange": false,
    "textMode": "auto",
    "wideLayout": true
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(max by (scope, cause) (clamp_min(wellbeing_pauses_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} - (wellbeing_pauses_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} offset 1d or wellbeing_pauses_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} * 0), 0)))",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Pauses, last day",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "The effective state.",
   "fieldConfig": {
    "defaults": {
     "mappings": [
      {
       "options": {
        "0": {
         "color": "green",
         "index": 0,
         "text": "healthy"
        },
        "1": {
         "color": "yellow",
         "index": 1,
         "text": "cautious"
        },
        "2": {
         "color": "orange",
         "index": 2,
         "text": "concerned"
        },
        "3": {
         "color": "red",
         "index": 3,
         "text": "distressed"
        }
       },
       "type": "value"
      }
     ],
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 24,
    "x": 0,
    "y": 4
   },
   "id": 7,
   "options": {
    "alignValue": "left",
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": false
    },
    "mergeValues": true,
    "perPage": 20,
    "rowHeight": 0.8,
    "showValue": "never",
    "tooltip": {
     "mode": "single",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max(wellbeing_state_level{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"})",
     "instant": false,
     "legendFormat": "state",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "State over time",
   "transparent": false,
   "type": "state-timeline"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "While the gate is closed, requests wait.",
   "fieldConfig": {
    "defaults": {
     "mappings": [
      {
       "options": {
        "0": {
         "color": "green",
         "index": 0,
         "text": "open"
        },
        "1": {
         "color": "red",
         "index": 1,
         "text": "closed"
        }
       },
       "type": "value"
      }
     ],
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 24,
    "x": 0,
    "y": 8
   },
   "id": 8,
   "options": {
    "alignValue": "left",
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": false
    },
    "mergeValues": true,
    "perPage": 20,
    "rowHeight": 0.8,
    "showValue": "never",
    "tooltip": {
     "mode": "single",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max(wellbeing_paused{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"})",
     "instant": false,
     "legendFormat": "gate",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Gate over time",
   "transparent": false,
   "type": "state-timeline"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Firing alerts in Prometheus with this scope in their label wellbeing_scope.",
   "fieldConfig": {
    "defaults": {
     "mappings": [
      {
       "options": {
        "0": {
         "color": "green",
         "index": 0,
         "text": "none"
        },
        "1": {
         "color": "red",
         "index": 1,
         "text": "firing"
        }
       },
       "type": "value"
      }
     ],
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 5,
    "w": 24,
    "x": 0,
    "y": 12
   },
   "id": 9,
   "options": {
    "alignValue": "left",
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": false
    },
    "mergeValues": true,
    "perPage": 20,
    "rowHeight": 0.8,
    "showValue": "never",
    "tooltip": {
     "mode": "single",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max by (alertname) (ALERTS{alertstate=\"firing\",wellbeing_scope=~\"$scope\"}) or on () vector(0)",
     "instant": false,
     "legendFormat": "{{alertname}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Alerts over time",
   "transparent": false,
   "type": "state-timeline"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Closed gates: the scope whose hold closes the gate, the kind of hold, its source and reason, and the time until it ends.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "align": "auto",
      "cellOptions": {
       "type": "color-text"
      },
      "inspect": false
     },
     "mappings": [
      {
       "options": {
        "-1": {
         "color": "orange",
         "index": 0,
         "text": "no end"
        }
       },
       "type": "value"
      }
     ],
     "thresholds": {
      "mode": "absolute",
      "steps": [
       {
        "color": "text",
        "value": null
       }
      ]
     },
     "unit": "s"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 5,
    "w": 24,
    "x": 0,
    "y": 17
   },
   "id": 10,
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "topk(50, label_replace(max by (scope, held_by, kind, source, reason) (wellbeing_pause_info{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}) * on (scope) group_left () ((min by (scope) (wellbeing_pause_until_timestamp_seconds{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}) == 0) - 1 or clamp_min(max by (scope) (wellbeing_pause_until_timestamp_seconds{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}) - time(), 0)), \"scope\", \"(root)\", \"scope\", \"\"))",
     "format": "table",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Paused by",
   "transformations": [
    {
     "id": "filterFieldsByName",
     "options": {
      "include": {
       "names": [
        "held_by",
        "kind",
        "source",
        "reason",
        "Value"
       ]
      }
     }
    },
    {
     "id": "organize",
     "options": {
      "excludeByName": {
       "Time": true
      },
      "indexByName": {
       "Value": 4,
       "held_by": 0,
       "kind": 1,
       "reason": 3,
       "source": 2
      },
      "renameByName": {
       "Value": "ends in",
       "held_by": "held by",
       "kind": "kind",
       "reason": "reason",
       "source": "source"
      }
     }
    }
   ],
   "transparent": false,
   "type": "table"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Requests by outcome. A blocked request waited, timed out, was abandoned or was rejected, or it still waits.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "reqps"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 0,
    "y": 22
   },
   "id": 11,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(rate(wellbeing_requests_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "all",
     "range": true,
     "refId": "A"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(rate(wellbeing_requests_blocked_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "blocked",
     "range": true,
     "refId": "B"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(rate(wellbeing_requests_waited_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "waited",
     "range": true,
     "refId": "C"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(rate(wellbeing_requests_timed_out_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "timed out",
     "range": true,
     "refId": "D"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(rate(wellbeing_requests_abandoned_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "abandoned",
     "range": true,
     "refId": "E"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(rate(wellbeing_requests_rejected_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "rejected",
     "range": true,
     "refId": "F"
    }
   ],
   "title": "Requests",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Requests per second that a restriction or a resume ramp admits.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "reqps"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 12,
    "y": 22
   },
   "id": 12,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "min(wellbeing_admit_per_second{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"})",
     "instant": false,
     "legendFormat": "per second",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Admitted at a rate",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Outcomes of admitted requests, as clients and middlewares reported them. Failed: a 5xx or an exception.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "reqps"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 0,
    "y": 30
   },
   "id": 13,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum by (outcome) (rate(wellbeing_admitted_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "{{outcome}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Outcomes",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "How long requests of a priority have waited while only requests of higher priorities passed.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "s"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 12,
    "y": 30
   },
   "id": 14,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max by (priority) (wellbeing_priority_starved_seconds{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"})",
     "instant": false,
     "legendFormat": "priority {{priority}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Starved priorities",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Requests that wait.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 0,
    "y": 38
   },
   "id": 15,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(wellbeing_waiters{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"})",
     "instant": false,
     "legendFormat": "waiting",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Waiting over time",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "How long requests waited, counted when the wait ended.",
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 12,
    "y": 38
   },
   "id": 16,
   "options": {
    "calculate": false,
    "cellGap": 1,
    "color": {
     "exponent": 0.5,
     "fill": "dark-orange",
     "mode": "scheme",
     "reverse": false,
     "scheme": "Oranges",
     "steps": 64
    },
    "exemplars": {
     "color": "rgba(255,0,255,0.7)"
    },
    "filterValues": {
     "le": 1e-09
    },
    "legend": {
     "show": true
    },
    "selectionMode": "x",
    "showValue": "auto",
    "tooltip": {
     "mode": "single"
    },
    "yAxis": {
     "unit": "s"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum by (le) (increase(wellbeing_gate_wait_seconds_bucket" + t["{sidecar}"] + "[$__rate_interval]))",
     "format": "heatmap",
     "instant": false,
     "legendFormat": "{{le}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Waits, all scopes",
   "transparent": false,
   "type": "heatmap"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "In the last 15 minutes, by cause.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 0,
    "y": 46
   },
   "id": 17,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max by (cause) (clamp_min(wellbeing_pauses_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} - (wellbeing_pauses_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} offset 15m or wellbeing_pauses_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} * 0), 0))",
     "instant": false,
     "legendFormat": "pauses: {{cause}}",
     "range": true,
     "refId": "A"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max by (cause) (clamp_min(wellbeing_resumes_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} - (wellbeing_resumes_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} offset 15m or wellbeing_resumes_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} * 0), 0))",
     "instant": false,
     "legendFormat": "resumes: {{cause}}",
     "range": true,
     "refId": "B"
    }
   ],
   "title": "Pauses and resumes",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Current signals of this scope itself, by kind of source and by state.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 40,
      "lineWidth": 1,
      "showPoints": "never",
      "stacking": {
       "mode": "normal"
      }
     },
     "min": 0,
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 12,
    "y": 46
   },
   "id": 18,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max by (source, state) (wellbeing_signals{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"})",
     "instant": false,
     "legendFormat": "{{source}} {{state}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Signals",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "1 while the engine's own switch agrees with the gate, else 0.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "max": 1,
     "min": 0,
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 0,
    "y": 54
   },
   "id": 19,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "min by (engine) (wellbeing_engine_in_sync{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"})",
     "instant": false,
     "legendFormat": "{{engine}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Engines in sync",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "1 while the engine's own pause is on; no data while its state is unknown. `asleep`: the sidecar has put it to sleep because the pause was long, and its GPU memory is free.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "max": 1,
     "min": 0,
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 12,
    "y": 54
   },
   "id": 20,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max by (engine) (wellbeing_engine_paused{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"})",
     "instant": false,
     "legendFormat": "paused {{engine}}",
     "range": true,
     "refId": "A"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max by (engine) (wellbeing_engine_asleep{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"})",
     "instant": false,
     "legendFormat": "asleep {{engine}}",
     "range": true,
     "refId": "B"
    }
   ],
   "title": "Engines paused, engines asleep",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "collapsed": false,
   "gridPos": {
    "h": 1,
    "w": 24,
    "x": 0,
    "y": 62
   },
   "id": 21,
   "panels": [],
   "title": "Would have paused",
   "type": "row"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Scopes that a policy would pause now, if it did not only observe.",
   "fieldConfig": {
    "defaults": {
     "thresholds": {
      "mode": "absolute",
      "steps": [
       {
        "color": "green",
        "value": null
       },
       {
        "color": "purple",
        "value": 1
       }
      ]
     },
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 4,
    "x": 0,
    "y": 63
   },
   "id": 22,
   "options": {
    "colorMode": "background",
    "graphMode": "none",
    "justifyMode": "auto",
    "orientation": "auto",
    "percentChangeColorMode": "standard",
    "reduceOptions": {
     "calcs": []
    },
    "showPercentChange": false,
    "textMode": "auto",
    "wideLayout": true
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(max by (scope) (wellbeing_advised{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}))",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Advised now",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "How often a pause was advised.",
   "fieldConfig": {
    "defaults": {
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 4,
    "x": 4,
    "y": 63
   },
   "id": 23,
   "options": {
    "colorMode": "value",
    "graphMode": "none",
    "justifyMode": "auto",
    "orientation": "auto",
    "percentChangeColorMode": "standard",
    "reduceOptions": {
     "calcs": []
    },
    "showPercentChange": false,
    "textMode": "auto",
    "wideLayout": true
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(max by (scope) (clamp_min(wellbeing_advised_pauses_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} - (wellbeing_advised_pauses_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} offset 1d or wellbeing_advised_pauses_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} * 0), 0)))",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Advised pauses, last day",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "How long scopes would have been paused, added up over scopes.",
   "fieldConfig": {
    "defaults": {
     "unit": "s"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 4,
    "x": 8,
    "y": 63
   },
   "id": 24,
   "options": {
    "colorMode": "value",
    "graphMode": "none",
    "justifyMode": "auto",
    "orientation": "auto",
    "percentChangeColorMode": "standard",
    "reduceOptions": {
     "calcs": []
    },
    "showPercentChange": false,
    "textMode": "auto",
    "wideLayout": true
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(max by (scope) (clamp_min(wellbeing_advised_paused_seconds_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} - (wellbeing_advised_paused_seconds_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} offset 1d or wellbeing_advised_paused_seconds_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} * 0), 0)))",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Advised time, last day",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "The share of the last day for which the scope with the longest advice would have been paused.",
   "fieldConfig": {
    "defaults": {
     "thresholds": {
      "mode": "absolute",
      "steps": [
       {
        "color": "green",
        "value": null
       },
       {
        "color": "yellow",
        "value": 0.01
       },
       {
        "color": "red",
        "value": 0.1
       }
      ]
     },
     "unit": "percentunit"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 4,
    "x": 12,
    "y": 63
   },
   "id": 25,
   "options": {
    "colorMode": "background",
    "graphMode": "none",
    "justifyMode": "auto",
    "orientation": "auto",
    "percentChangeColorMode": "standard",
    "reduceOptions": {
     "calcs": []
    },
    "showPercentChange": false,
    "textMode": "auto",
    "wideLayout": true
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max(max by (scope) (clamp_max(rate(wellbeing_advised_paused_seconds_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}[1d]), 1)))",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Largest share, last day",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Of the last hour; the ten scopes that would have been paused most.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "max": 1,
     "min": 0,
     "unit": "percentunit"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 8,
    "x": 16,
    "y": 63
   },
   "id": 26,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "topk(10, label_replace(max by (scope) (clamp_max(rate(wellbeing_advised_paused_seconds_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}[1h]), 1)), \"scope\", \"(root)\", \"scope\", \"\"))",
     "instant": false,
     "legendFormat": "{{scope}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Share of time advised",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "While a pause is advised, the gate would be closed if the policy did not only observe.",
   "fieldConfig": {
    "defaults": {
     "mappings": [
      {
       "options": {
        "0": {
         "color": "green",
         "index": 0,
         "text": "none"
        },
        "1": {
         "color": "purple",
         "index": 1,
         "text": "advised"
        }
       },
       "type": "value"
      }
     ],
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 6,
    "w": 24,
    "x": 0,
    "y": 67
   },
   "id": 27,
   "options": {
    "alignValue": "left",
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": false
    },
    "mergeValues": true,
    "perPage": 20,
    "rowHeight": 0.8,
    "showValue": "never",
    "tooltip": {
     "mode": "single",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "label_replace(max by (scope) (wellbeing_advised{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}), \"scope\", \"(root)\", \"scope\", \"\")",
     "instant": false,
     "legendFormat": "{{scope}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Advice",
   "transparent": false,
   "type": "state-timeline"
  },
  {
   "collapsed": false,
   "gridPos": {
    "h": 1,
    "w": 24,
    "x": 0,
    "y": 73
   },
   "id": 28,
   "panels": [],
   "title": "The engine: vLLM",
   "type": "row"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Requests in the running batch, and in the engine's own queue.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 0,
    "y": 74
   },
   "id": 29,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum by (model_name) (vllm:num_requests_running{" + t["vllm,"] + "model_name=~\"$model\"})",
     "instant": false,
     "legendFormat": "running {{model_name}}",
     "range": true,
     "refId": "A"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum by (model_name) (vllm:num_requests_waiting{" + t["vllm,"] + "model_name=~\"$model\"})",
     "instant": false,
     "legendFormat": "waiting {{model_name}}",
     "range": true,
     "refId": "B"
    }
   ],
   "title": "Requests in the engine",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Prompt tokens and generated tokens.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 12,
    "y": 74
   },
   "id": 30,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum by (model_name) (rate(vllm:prompt_tokens_total{" + t["vllm,"] + "model_name=~\"$model\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "prompt {{model_name}}",
     "range": true,
     "refId": "A"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum by (model_name) (rate(vllm:generation_tokens_total{" + t["vllm,"] + "model_name=~\"$model\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "generation {{model_name}}",
     "range": true,
     "refId": "B"
    }
   ],
   "title": "Tokens per second",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "The share of the KV cache that is in use.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never",
      "thresholdsStyle": {
       "mode": "dashed"
      }
     },
     "max": 1,
     "min": 0,
     "thresholds": {
      "mode": "absolute",
      "steps": [
       {
        "color": "green",
        "value": null
       },
       {
        "color": "yellow",
        "value": 0.9
       },
       {
        "color": "red",
        "value": 0.98
       }
      ]
     },
     "unit": "percentunit"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 0,
    "y": 82
   },
   "id": 31,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "max by (model_name) (vllm:kv_cache_usage_perc{" + t["vllm,"] + "model_name=~\"$model\"})",
     "instant": false,
     "legendFormat": "{{model_name}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "KV cache",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "By the reason for which they ended; `error` and `repetition` are faults.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 40,
      "lineWidth": 1,
      "showPoints": "never",
      "stacking": {
       "mode": "normal"
      }
     },
     "min": 0,
     "unit": "reqps"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 12,
    "y": 82
   },
   "id": 32,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum by (finished_reason) (rate(vllm:request_success_total{" + t["vllm,"] + "model_name=~\"$model\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "{{finished_reason}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Finished requests",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "95th percentile.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "s"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 0,
    "y": 90
   },
   "id": 33,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "histogram_quantile(0.95, sum by (model_name, le) (rate(vllm:time_to_first_token_seconds_bucket{" + t["vllm,"] + "model_name=~\"$model\"}[$__rate_interval])))",
     "instant": false,
     "legendFormat": "{{model_name}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Time to first token",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Mean.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "s"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 12,
    "y": 90
   },
   "id": 34,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum by (model_name) (rate(vllm:request_queue_time_seconds_sum{" + t["vllm,"] + "model_name=~\"$model\"}[$__rate_interval])) / sum by (model_name) (rate(vllm:request_queue_time_seconds_count{" + t["vllm,"] + "model_name=~\"$model\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "{{model_name}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Time in the engine's queue",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "collapsed": false,
   "gridPos": {
    "h": 1,
    "w": 24,
    "x": 0,
    "y": 98
   },
   "id": 35,
   "panels": [],
   "title": "The engine: NVIDIA Dynamo",
   "type": "row"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Requests that wait for their first token, and requests that the frontend handles.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 0,
    "y": 99
   },
   "id": 36,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum by (model) (dynamo_frontend_queued_requests{" + t["dynamo,"] + "model=~\"$dynamo_model\"})",
     "instant": false,
     "legendFormat": "queued {{model}}",
     "range": true,
     "refId": "A"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum by (model) (dynamo_frontend_active_requests{" + t["dynamo,"] + "model=~\"$dynamo_model\"})",
     "instant": false,
     "legendFormat": "active {{model}}",
     "range": true,
     "refId": "B"
    }
   ],
   "title": "Requests in Dynamo",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Generated tokens.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 12,
    "y": 99
   },
   "id": 37,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum by (model) (rate(dynamo_frontend_output_tokens_total{" + t["dynamo,"] + "model=~\"$dynamo_model\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "{{model}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Tokens per second from Dynamo",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "By status and type of error. `overload`: rejected because no worker has room; `cancelled`: the client left.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 40,
      "lineWidth": 1,
      "showPoints": "never",
      "stacking": {
       "mode": "normal"
      }
     },
     "min": 0,
     "unit": "reqps"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 0,
    "y": 107
   },
   "id": 38,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum by (status, error_type) (rate(dynamo_frontend_requests_total{" + t["dynamo,"] + "model=~\"$dynamo_model\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "{{status}} {{error_type}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Finished requests of Dynamo",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "1 while a worker can serve a request for the model, else 0.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "max": 1,
     "min": 0,
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 12,
    "y": 107
   },
   "id": 39,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "min by (model) (dynamo_frontend_model_ready{" + t["dynamo,"] + "model=~\"$dynamo_model\"})",
     "instant": false,
     "legendFormat": "{{model}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Models that are ready",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "95th percentile.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "s"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 0,
    "y": 115
   },
   "id": 40,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "histogram_quantile(0.95, sum by (model, le) (rate(dynamo_frontend_time_to_first_token_seconds_bucket{" + t["dynamo,"] + "model=~\"$dynamo_model\"}[$__rate_interval])))",
     "instant": false,
     "legendFormat": "{{model}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Time to first token from Dynamo",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "95th percentile.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "s"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 12,
    "y": 115
   },
   "id": 41,
   "options": {
    "legend": {
     "calcs": [],
     "displayMode": "list",
     "placement": "bottom",
     "showLegend": true
    },
    "tooltip": {
     "mode": "multi",
     "sort": "asc"
    }
   },
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "histogram_quantile(0.95, sum by (model, le) (rate(dynamo_frontend_inter_token_latency_seconds_bucket{" + t["dynamo,"] + "model=~\"$dynamo_model\"}[$__rate_interval])))",
     "instant": false,
     "legendFormat": "{{model}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Time between tokens from Dynamo",
   "transparent": false,
   "type": "timeseries"
  }
 ],
 "refresh": "10s",
 "schemaVersion": 41,
 "tags": [
  "wellbeing"
 ],
 "templating": {
  "list": [
   {
    "allowCustomValue": true,
    "auto": false,
    "auto_count": 30,
    "auto_min": "10s",
    "includeAll": false,
    "label": "Prometheus",
    "multi": false,
    "name": "datasource",
    "query": "prometheus",
    "skipUrlSync": false,
    "type": "datasource"
   },
   {
    "allValue": ".*",
    "allowCustomValue": true,
    "auto": false,
    "auto_count": 30,
    "auto_min": "10s",
    "datasource": {
     "type": "prometheus",
     "uid": "${datasource}"
    },
    "includeAll": true,
    "label": "Cluster",
    "multi": true,
    "name": "cluster",
    "query": "label_values(wellbeing_build_info" + t["{sidecar}"] + ", " + t["cluster"] + ")",
    "refresh": 2,
    "regex": "",
    "skipUrlSync": false,
    "sort": 1,
    "type": "query"
   },
   {
    "allValue": ".*",
    "allowCustomValue": true,
    "auto": false,
    "auto_count": 30,
    "auto_min": "10s",
    "datasource": {
     "type": "prometheus",
     "uid": "${datasource}"
    },
    "includeAll": true,
    "label": "Sidecar",
    "multi": true,
    "name": "instance",
    "query": "label_values(wellbeing_build_info{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\"}, instance)",
    "refresh": 2,
    "regex": "",
    "skipUrlSync": false,
    "sort": 1,
    "type": "query"
   },
   {
    "allowCustomValue": true,
    "auto": false,
    "auto_count": 30,
    "auto_min": "10s",
    "datasource": {
     "type": "prometheus",
     "uid": "${datasource}"
    },
    "includeAll": false,
    "label": "Scope",
    "multi": false,
    "name": "scope",
    "query": "query_result(label_replace(label_replace(label_replace(label_replace(max by (scope) (wellbeing_state_level" + t["{sidecar}"] + "), \"text\", \"$1\", \"scope\", \"(.+)\"), \"text\", \"(root)\", \"scope\", \"\"), \"value\", \"$1\", \"scope\", \"(.+)\"), \"value\", \"()\", \"scope\", \"\"))",
    "refresh": 2,
    "regex": "/text=\"(?<text>[^\"]+)\".*value=\"(?<value>[^\"]+)\"/",
    "skipUrlSync": false,
    "sort": 1,
    "type": "query"
   },
   {
    "allValue": ".*",
    "allowCustomValue": true,
    "auto": false,
    "auto_count": 30,
    "auto_min": "10s",
    "datasource": {
     "type": "prometheus",
     "uid": "${datasource}"
    },
    "includeAll": true,
    "label": "Model",
    "multi": true,
    "name": "model",
    "query": "label_values(vllm:num_requests_running" + t["{vllm}"] + ", model_name)",
    "refresh": 2,
    "regex": "",
    "skipUrlSync": false,
    "sort": 1,
    "type": "query"
   },
   {
    "allValue": ".*",
    "allowCustomValue": true,
    "auto": false,
    "auto_count": 30,
    "auto_min": "10s",
    "datasource": {
     "type": "prometheus",
     "uid": "${datasource}"
    },
    "includeAll": true,
    "label": "Dynamo model",
    "multi": true,
    "name": "dynamo_model",
    "query": "label_values(dynamo_frontend_queued_requests" + t["{dynamo}"] + ", model)",
    "refresh": 2,
    "regex": "",
    "skipUrlSync": false,
    "sort": 1,
    "type": "query"
   },
   {
    "allowCustomValue": true,
    "auto": false,
    "auto_count": 30,
    "auto_min": "10s",
    "includeAll": false,
    "label": "Page",
    "multi": false,
    "name": "page",
    "query": "http://127.0.0.1:9477",
    "skipUrlSync": false,
    "type": "textbox"
   }
  ]
 },
 "time": {
  "from": "now-1h",
  "to": "now"
 },
 "timezone": "browser",
 "title": "Wellbeing / Scope",
 "uid": "wellbeing-scope"
}
