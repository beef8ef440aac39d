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
    "expr": "max by (scope) (wellbeing_paused{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}) > 0",
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
 "description": "The state of all scopes: which are paused, why and until when, and how much time the pauses take.",
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
   "collapsed": false,
   "gridPos": {
    "h": 1,
    "w": 24,
    "x": 0,
    "y": 0
   },
   "id": 1,
   "panels": [],
   "title": "Now",
   "type": "row"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "The number of known scopes.",
   "fieldConfig": {
    "defaults": {
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 4,
    "x": 0,
    "y": 1
   },
   "id": 2,
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
     "expr": "count(max by (scope) (wellbeing_state_level{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}))",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Scopes",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Scopes whose effective state is worse than healthy.",
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
        "color": "orange",
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
    "x": 4,
    "y": 1
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
     "expr": "count(max by (scope) (wellbeing_state_level{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}) > 0) or vector(0)",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Not healthy",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Scopes whose gate is closed.",
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
        "color": "red",
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
    "x": 8,
    "y": 1
   },
   "id": 4,
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
     "expr": "sum(max by (scope) (wellbeing_paused{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}))",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Paused",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Requests that wait at closed gates.",
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
        "value": 1000
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
    "x": 12,
    "y": 1
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
   "description": "Whether a sidecar is missing its watchdog alert. While it is, a resolved alert lifts no pause.",
   "fieldConfig": {
    "defaults": {
     "mappings": [
      {
       "options": {
        "0": {
         "color": "green",
         "index": 0,
         "text": "no"
        },
        "1": {
         "color": "red",
         "index": 1,
         "text": "yes"
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
    "x": 16,
    "y": 1
   },
   "id": 6,
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
     "expr": "max(wellbeing_blind" + t["{sidecar}"] + ")",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Blind",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "How long the gate that has been closed longest has been closed.",
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
        "value": 60
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
    "x": 20,
    "y": 1
   },
   "id": 7,
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
   "title": "Longest pause",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Effective states, the worst first.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "align": "auto",
      "cellOptions": {
       "type": "color-text"
      },
      "inspect": false
     },
     "links": [
      {
       "asDropdown": false,
       "icon": "",
       "includeVars": false,
       "keepTime": false,
       "tags": [],
       "targetBlank": false,
       "title": "This scope",
       "tooltip": "",
       "type": "link",
       "url": "/d/wellbeing-scope?var-scope=${__data.fields.scope}&var-datasource=${datasource}&${__url_time_range}"
      }
     ],
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
    "h": 8,
    "w": 8,
    "x": 0,
    "y": 5
   },
   "id": 8,
   "repeatDirection": "h",
   "targets": [
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "topk(50, label_replace(max by (scope) (wellbeing_state_level{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}), \"scope\", \"(root)\", \"scope\", \"\"))",
     "format": "table",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Worst scopes",
   "transformations": [
    {
     "id": "filterFieldsByName",
     "options": {
      "include": {
       "names": [
        "scope",
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
       "Value": 1,
       "scope": 0
      },
      "renameByName": {
       "Value": "state",
       "scope": "scope"
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
     "links": [
      {
       "asDropdown": false,
       "icon": "",
       "includeVars": false,
       "keepTime": false,
       "tags": [],
       "targetBlank": false,
       "title": "This scope",
       "tooltip": "",
       "type": "link",
       "url": "/d/wellbeing-scope?var-scope=${__data.fields.scope}&var-datasource=${datasource}&${__url_time_range}"
      }
     ],
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
    "h": 8,
    "w": 16,
    "x": 8,
    "y": 5
   },
   "id": 9,
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
   "title": "Paused now",
   "transformations": [
    {
     "id": "filterFieldsByName",
     "options": {
      "include": {
       "names": [
        "scope",
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
       "Value": 5,
       "held_by": 1,
       "kind": 2,
       "reason": 4,
       "scope": 0,
       "source": 3
      },
      "renameByName": {
       "Value": "ends in",
       "held_by": "held by",
       "kind": "kind",
       "reason": "reason",
       "scope": "scope",
       "source": "source"
      }
     }
    }
   ],
   "transparent": false,
   "type": "table"
  },
  {
   "collapsed": false,
   "gridPos": {
    "h": 1,
    "w": 24,
    "x": 0,
    "y": 13
   },
   "id": 10,
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
    "y": 14
   },
   "id": 11,
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
    "y": 14
   },
   "id": 12,
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
    "y": 14
   },
   "id": 13,
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
    "y": 14
   },
   "id": 14,
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
    "y": 14
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
    "y": 18
   },
   "id": 16,
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
    "y": 24
   },
   "id": 17,
   "panels": [],
   "title": "Over time",
   "type": "row"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "The effective state: the worst of a scope's own state and its ancestors' states.",
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
    "h": 10,
    "w": 24,
    "x": 0,
    "y": 25
   },
   "id": 18,
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
     "expr": "label_replace(max by (scope) (wellbeing_state_level{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}), \"scope\", \"(root)\", \"scope\", \"\")",
     "instant": false,
     "legendFormat": "{{scope}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "State",
   "transparent": false,
   "type": "state-timeline"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "While a gate is closed, its requests wait.",
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
    "h": 8,
    "w": 24,
    "x": 0,
    "y": 35
   },
   "id": 19,
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
     "expr": "label_replace(max by (scope) (wellbeing_paused{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}), \"scope\", \"(root)\", \"scope\", \"\")",
     "instant": false,
     "legendFormat": "{{scope}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Gate",
   "transparent": false,
   "type": "state-timeline"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Requests that wait at closed gates, by scope.",
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
    "x": 0,
    "y": 43
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
     "expr": "label_replace(sum by (scope) (wellbeing_waiters{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}), \"scope\", \"(root)\", \"scope\", \"\")",
     "instant": false,
     "legendFormat": "{{scope}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Waiting",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Of the last 5 minutes and of the last hour; the ten scopes that were paused most.",
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
    "h": 8,
    "w": 12,
    "x": 12,
    "y": 43
   },
   "id": 21,
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
     "expr": "topk(10, label_replace(max by (scope) (wellbeing:paused:ratio_rate5m{scope=~\"$scope\"}), \"scope\", \"(root)\", \"scope\", \"\"))",
     "instant": false,
     "legendFormat": "{{scope}} 5m",
     "range": true,
     "refId": "A"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "topk(10, label_replace(max by (scope) (wellbeing:paused:ratio_rate1h{scope=~\"$scope\"}), \"scope\", \"(root)\", \"scope\", \"\"))",
     "instant": false,
     "legendFormat": "{{scope}} 1h",
     "range": true,
     "refId": "B"
    }
   ],
   "title": "Share of time paused",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "How fast each scope uses its budget; at 1, the budget is just met.",
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
        "value": 1
       },
       {
        "color": "orange",
        "value": 6
       },
       {
        "color": "red",
        "value": 14.4
       }
      ]
     },
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 0,
    "y": 51
   },
   "id": 22,
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
     "expr": "topk(10, label_replace(max by (scope) (wellbeing:pause_budget:burn_rate1h{scope=~\"$scope\"}), \"scope\", \"(root)\", \"scope\", \"\"))",
     "instant": false,
     "legendFormat": "{{scope}} 1h",
     "range": true,
     "refId": "A"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "topk(10, label_replace(max by (scope) (wellbeing:pause_budget:burn_rate1d{scope=~\"$scope\"}), \"scope\", \"(root)\", \"scope\", \"\"))",
     "instant": false,
     "legendFormat": "{{scope}} 1d",
     "range": true,
     "refId": "B"
    }
   ],
   "title": "Burn rate of the pause budget",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "In the last 15 minutes, by cause. Many in a short time are flapping: see `min_pause_secs` and `resume_ramp_per_sec`.",
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
    "y": 51
   },
   "id": 23,
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
     "expr": "label_replace(max by (scope, cause) (clamp_min(wellbeing_pauses_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} - (wellbeing_pauses_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} offset 15m or wellbeing_pauses_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"} * 0), 0)), \"scope\", \"(root)\", \"scope\", \"\")",
     "instant": false,
     "legendFormat": "{{scope}} {{cause}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Pauses",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Current signals, by kind of source and by state.",
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
    "x": 0,
    "y": 59
   },
   "id": 24,
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
     "expr": "sum by (source, state) (max by (scope, source, state) (wellbeing_signals{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",scope=~\"$scope\"}))",
     "instant": false,
     "legendFormat": "{{source}} {{state}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Signals",
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
    "label": "Scope",
    "multi": true,
    "name": "scope",
    "query": "label_values(wellbeing_state_level" + t["{sidecar}"] + ", scope)",
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
 "title": "Wellbeing / Fleet",
 "uid": "wellbeing-fleet"
}
