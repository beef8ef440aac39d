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
    "expr": "max by (scope) (clamp_min(wellbeing_interventions_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"} - (wellbeing_interventions_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"} offset 1m or wellbeing_interventions_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"} * 0), 0)) > 0",
    "hide": false,
    "iconColor": "orange",
    "name": "Interventions"
   }
  ]
 },
 "description": "The sidecar itself: received notifications, reaction time, store, event loop and memory.",
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
   "description": "Whether the last commit succeeded.",
   "fieldConfig": {
    "defaults": {
     "mappings": [
      {
       "options": {
        "0": {
         "color": "red",
         "index": 0,
         "text": "no"
        },
        "1": {
         "color": "green",
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
     "expr": "min(wellbeing_store_up{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"})",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Store",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Whether the watchdog alert is missing.",
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
     "expr": "max(wellbeing_blind{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"})",
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
   "description": "Whether the last load of the config succeeded.",
   "fieldConfig": {
    "defaults": {
     "mappings": [
      {
       "options": {
        "0": {
         "color": "red",
         "index": 0,
         "text": "no"
        },
        "1": {
         "color": "green",
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
     "expr": "min(wellbeing_config_last_reload_successful{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"})",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Config",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "How long ago a webhook notification was last accepted.",
   "fieldConfig": {
    "defaults": {
     "unit": "s"
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
     "expr": "time() - max(wellbeing_webhook_last_received_timestamp_seconds{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"} > 0)",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Last notification",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Client-side gates that report to the sidecar.",
   "fieldConfig": {
    "defaults": {
     "unit": "short"
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
     "expr": "sum(wellbeing_clients{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"})",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Clients",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "The versions that are running.",
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
     "expr": "count by (version) (wellbeing_build_info{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"})",
     "instant": true,
     "legendFormat": "{{version}}",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Version",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Whether the configured watchdog alert has ever arrived; no data without a watchdog. `no`: its rule, its route or its name is wrong.",
   "fieldConfig": {
    "defaults": {
     "mappings": [
      {
       "options": {
        "0": {
         "color": "red",
         "index": 0,
         "text": "no"
        },
        "1": {
         "color": "green",
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
    "w": 8,
    "x": 0,
    "y": 4
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
     "expr": "min(wellbeing_watchdog_heard{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"})",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Watchdog heard",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Alerts that were ignored because the label that names their scope is missing or empty.",
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
    "w": 8,
    "x": 8,
    "y": 4
   },
   "id": 8,
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
     "expr": "sum(clamp_min(wellbeing_webhook_alerts_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",outcome=\"misdirected\"} - (wellbeing_webhook_alerts_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",outcome=\"misdirected\"} offset 1h or wellbeing_webhook_alerts_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",outcome=\"misdirected\"} * 0), 0)) or vector(0)",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Misdirected alerts, last hour",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Unexpected errors of background tasks. Each task was started again.",
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
    "w": 8,
    "x": 16,
    "y": 4
   },
   "id": 9,
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
     "expr": "sum(clamp_min(wellbeing_task_failures_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"} - (wellbeing_task_failures_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"} offset 1h or wellbeing_task_failures_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"} * 0), 0)) or vector(0)",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Failures of tasks, last hour",
   "transparent": false,
   "type": "stat"
  },
  {
   "collapsed": false,
   "gridPos": {
    "h": 1,
    "w": 24,
    "x": 0,
    "y": 8
   },
   "id": 10,
   "panels": [],
   "title": "Notifications and reconciliation",
   "type": "row"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "By result. `unavailable`: the store was down, and Alertmanager tries again.",
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
    "y": 9
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
     "expr": "sum by (result) (rate(wellbeing_webhook_notifications_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "{{result}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Notifications",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Alerts in accepted notifications, by status and outcome.",
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
    "y": 9
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
     "expr": "sum by (status, outcome) (rate(wellbeing_webhook_alerts_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "{{status}} {{outcome}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Alerts",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Since the alert's startsAt, so it includes the delays of Prometheus and Alertmanager.",
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
    "y": 17
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
     "expr": "histogram_quantile(0.5, sum by (le) (rate(wellbeing_alert_reaction_seconds_bucket{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[1h])))",
     "instant": false,
     "legendFormat": "p50",
     "range": true,
     "refId": "A"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "histogram_quantile(0.95, sum by (le) (rate(wellbeing_alert_reaction_seconds_bucket{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[1h])))",
     "instant": false,
     "legendFormat": "p95",
     "range": true,
     "refId": "B"
    }
   ],
   "title": "From alert to closed gate",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Queries to Alertmanager by result, and the signals that they corrected.",
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
    "y": 17
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
     "expr": "sum by (result) (rate(wellbeing_reconciliations_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "{{result}}",
     "range": true,
     "refId": "A"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum by (what) (increase(wellbeing_reconcile_corrections_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[15m]))",
     "instant": false,
     "legendFormat": "{{what}}",
     "range": true,
     "refId": "B"
    }
   ],
   "title": "Reconciliation",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "collapsed": false,
   "gridPos": {
    "h": 1,
    "w": 24,
    "x": 0,
    "y": 25
   },
   "id": 15,
   "panels": [],
   "title": "The fleet",
   "type": "row"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Whether one of the sidecars is the leader; no data without a shared store.",
   "fieldConfig": {
    "defaults": {
     "mappings": [
      {
       "options": {
        "0": {
         "color": "red",
         "index": 0,
         "text": "no"
        },
        "1": {
         "color": "green",
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
    "w": 12,
    "x": 0,
    "y": 26
   },
   "id": 16,
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
     "expr": "max(wellbeing_fleet_leader{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"})",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Leader",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Records that Redis has lost and that are not written again yet.",
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
    "w": 12,
    "x": 12,
    "y": 26
   },
   "id": 17,
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
     "expr": "max(wellbeing_fleet_owed_records{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"})",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Records to write again",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Seconds from the last commit of another sidecar until it arrived.",
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
    "y": 30
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
     "expr": "wellbeing_fleet_lag_seconds{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}",
     "instant": false,
     "legendFormat": "{{instance}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Arrival of commits",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Commits that are known but not yet applied.",
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
    "y": 30
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
     "expr": "wellbeing_fleet_known_commit{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"} - wellbeing_fleet_applied_commit{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}",
     "instant": false,
     "legendFormat": "{{instance}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Commits behind",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Conflicts with other sidecars, loads of the whole state, commits that Redis lost, records that were written again.",
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
     "expr": "sum(rate(wellbeing_fleet_conflicts_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "conflicts",
     "range": true,
     "refId": "A"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(rate(wellbeing_fleet_loads_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "loads",
     "range": true,
     "refId": "B"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(rate(wellbeing_fleet_went_back_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "went back",
     "range": true,
     "refId": "C"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(rate(wellbeing_fleet_offered_records_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "written again",
     "range": true,
     "refId": "D"
    }
   ],
   "title": "Decided again, loaded again",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "collapsed": false,
   "gridPos": {
    "h": 1,
    "w": 24,
    "x": 0,
    "y": 46
   },
   "id": 21,
   "panels": [],
   "title": "Hooks",
   "type": "row"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Delivered events, repeated attempts and dropped events, by hook.",
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
    "y": 47
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
     "expr": "sum by (hook, result) (increase(wellbeing_hook_deliveries_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "{{hook}} {{result}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Deliveries",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Events that wait for the hook's endpoint. Above 0 for long: the endpoint fails.",
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
    "y": 47
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
     "expr": "sum by (hook) (wellbeing_hook_pending{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"})",
     "instant": false,
     "legendFormat": "{{hook}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Waiting events",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "collapsed": false,
   "gridPos": {
    "h": 1,
    "w": 24,
    "x": 0,
    "y": 55
   },
   "id": 24,
   "panels": [],
   "title": "Engines",
   "type": "row"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Engines that do not follow their gate; no data without engines in the config.",
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
    "w": 6,
    "x": 0,
    "y": 56
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
     "expr": "sum(min by (scope, engine) (wellbeing_engine_in_sync{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}) == bool 0)",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Out of sync",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Engines that the sidecars keep asleep in a long pause; no data without `sleep_after_secs`.",
   "fieldConfig": {
    "defaults": {
     "unit": "short"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 4,
    "w": 6,
    "x": 6,
    "y": 56
   },
   "id": 26,
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
     "expr": "sum(max by (scope, engine) (wellbeing_engine_asleep{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}))",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Asleep",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Engines that left the config while a sidecar kept them paused, and that are not resumed yet. Requests hang in them.",
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
    "w": 6,
    "x": 12,
    "y": 56
   },
   "id": 27,
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
     "expr": "sum(wellbeing_engines_left_paused{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"})",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Left paused",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Engines that left the config while a sidecar kept them paused, and that it could not resume.",
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
    "w": 6,
    "x": 18,
    "y": 56
   },
   "id": 28,
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
     "expr": "sum(max by (instance) (clamp_min(wellbeing_engine_releases_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",result=\"failed\"} - (wellbeing_engine_releases_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",result=\"failed\"} offset 1d or wellbeing_engine_releases_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\",result=\"failed\"} * 0), 0)))",
     "instant": true,
     "legendFormat": "",
     "range": false,
     "refId": "A"
    }
   ],
   "title": "Not released, last day",
   "transparent": false,
   "type": "stat"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "The sidecars' own requests to the engines' pause, by action and result.",
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
    "w": 24,
    "x": 0,
    "y": 60
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
     "expr": "sum by (action, result) (increase(wellbeing_engine_requests_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "{{action}} {{result}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Requests to engines",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "collapsed": false,
   "gridPos": {
    "h": 1,
    "w": 24,
    "x": 0,
    "y": 68
   },
   "id": 30,
   "panels": [],
   "title": "Process",
   "type": "row"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "How long the store takes to make a change durable.",
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
    "y": 69
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
     "expr": "histogram_quantile(0.5, sum by (le) (rate(wellbeing_store_commit_seconds_bucket{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[$__rate_interval])))",
     "instant": false,
     "legendFormat": "p50",
     "range": true,
     "refId": "A"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "histogram_quantile(0.99, sum by (le) (rate(wellbeing_store_commit_seconds_bucket{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[$__rate_interval])))",
     "instant": false,
     "legendFormat": "p99",
     "range": true,
     "refId": "B"
    }
   ],
   "title": "Commits",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "The largest delay of the event loop within 15 seconds. Every request has this delay.",
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
        "value": 0.1
       },
       {
        "color": "red",
        "value": 0.5
       }
      ]
     },
     "unit": "s"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 12,
    "y": 69
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
     "expr": "wellbeing_event_loop_lag_seconds{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}",
     "instant": false,
     "legendFormat": "{{instance}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Event loop lag",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Resident memory of the worker process.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "bytes"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 0,
    "y": 77
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
     "expr": "process_resident_memory_bytes{" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"} and on (instance) wellbeing_build_info" + t["{sidecar}"] + "",
     "instant": false,
     "legendFormat": "{{instance}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Memory",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Open connections and open files.",
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
    "y": 77
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
     "expr": "wellbeing_connections{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}",
     "instant": false,
     "legendFormat": "connections {{instance}}",
     "range": true,
     "refId": "A"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "process_open_fds{" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"} and on (instance) wellbeing_build_info" + t["{sidecar}"] + "",
     "instant": false,
     "legendFormat": "open files {{instance}}",
     "range": true,
     "refId": "B"
    }
   ],
   "title": "Connections",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "The share of one core.",
   "fieldConfig": {
    "defaults": {
     "custom": {
      "fillOpacity": 10,
      "lineWidth": 1,
      "showPoints": "never"
     },
     "min": 0,
     "unit": "percentunit"
    },
    "overrides": []
   },
   "gridPos": {
    "h": 8,
    "w": 12,
    "x": 0,
    "y": 85
   },
   "id": 35,
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
     "expr": "rate(process_cpu_seconds_total{" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[$__rate_interval]) and on (instance) wellbeing_build_info" + t["{sidecar}"] + "",
     "instant": false,
     "legendFormat": "{{instance}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "CPU",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Reports by result, and clients that stopped reporting in the last 15 minutes.",
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
    "y": 85
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
     "expr": "sum by (result) (rate(wellbeing_reports_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[$__rate_interval]))",
     "instant": false,
     "legendFormat": "{{result}}",
     "range": true,
     "refId": "A"
    },
    {
     "datasource": {
      "type": "prometheus",
      "uid": "${datasource}"
     },
     "expr": "sum(increase(wellbeing_clients_gone_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[15m]))",
     "instant": false,
     "legendFormat": "gone",
     "range": true,
     "refId": "B"
    }
   ],
   "title": "Reports of clients",
   "transparent": false,
   "type": "timeseries"
  },
  {
   "datasource": {
    "type": "prometheus",
    "uid": "${datasource}"
   },
   "description": "Unexpected errors of background tasks, by task.",
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
    "y": 93
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
     "expr": "sum by (task) (increase(wellbeing_task_failures_total{" + t["sidecar,"] + "" + t["cluster"] + "=~\"$cluster\",instance=~\"$instance\"}[15m]))",
     "instant": false,
     "legendFormat": "{{task}}",
     "range": true,
     "refId": "A"
    }
   ],
   "title": "Failures of tasks",
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
 "title": "Wellbeing / Sidecar",
 "uid": "wellbeing-sidecar"
}
