function(t) {
 "groups": [
  {
   "name": "wellbeing-masks",
   "rules": [
    {
     "record": "wellbeing:engine_path",
     "expr": "group by (" + t["cluster,"] + "kind, job, instance, model, litellm_model_name, namespace, pod, host, path) (\n  label_replace(\n    label_replace(wellbeing:engine_info, \"path\", \"$1\", \"joined\", \"/*(.*?)/*\"),\n    \"host\", \"$1\", \"instance\", \"(.+?)(:[0-9]+)?\"\n  )\n)\n"
    },
    {
     "record": "wellbeing:engine_scope",
     "expr": "wellbeing:engine_path\nor label_replace(wellbeing:engine_path, \"scope\", \"$1\", \"path\", \"(.+)\")\nor label_replace(wellbeing:engine_path, \"scope\", \"$1\", \"path\", \"([^/]+)/.+\")\nor label_replace(wellbeing:engine_path, \"scope\", \"$1\", \"path\", \"((?:[^/]+/){1}[^/]+)/.+\")\nor label_replace(wellbeing:engine_path, \"scope\", \"$1\", \"path\", \"((?:[^/]+/){2}[^/]+)/.+\")\nor label_replace(wellbeing:engine_path, \"scope\", \"$1\", \"path\", \"((?:[^/]+/){3}[^/]+)/.+\")\nor label_replace(wellbeing:engine_path, \"scope\", \"$1\", \"path\", \"((?:[^/]+/){4}[^/]+)/.+\")\nor label_replace(wellbeing:engine_path, \"scope\", \"$1\", \"path\", \"((?:[^/]+/){5}[^/]+)/.+\")\nor label_replace(wellbeing:engine_path, \"scope\", \"$1\", \"path\", \"((?:[^/]+/){6}[^/]+)/.+\")\n"
    },
    {
     "record": "wellbeing:engine_held",
     "expr": "group by (" + t["cluster,"] + "kind, job, instance, model) (\n  wellbeing:engine_scope{kind!=\"litellm\",model=\"\"} and on (" + t["cluster,"] + "namespace, pod) wellbeing_engine_paused{" + t["sidecar,"] + "pod!=\"\"} == 1\n  or wellbeing:engine_scope{kind!=\"litellm\",model!=\"\"} and on (" + t["cluster,"] + "namespace, pod, scope) wellbeing_engine_paused{" + t["sidecar,"] + "pod!=\"\"} == 1\n  or wellbeing:engine_scope{kind!=\"litellm\"} and on (" + t["cluster,"] + "host, scope) label_replace(wellbeing_engine_paused{" + t["sidecar,"] + "scope=\"\",pod=\"\"} == 1, \"host\", \"$1\", \"instance\", \"(.+?)(:[0-9]+)?\")\n  or wellbeing:engine_scope{kind!=\"litellm\"} and on (" + t["cluster,"] + "scope) (wellbeing_engine_paused{" + t["sidecar,"] + "scope!=\"\"} == 1 unless on (" + t["cluster,"] + "namespace, pod) last_over_time(wellbeing:engine_path{kind!=\"litellm\",pod!=\"\"}[10m]))\n  or wellbeing:engine_scope{kind!=\"litellm\"} and on (" + t["cluster,"] + "namespace, scope) (wellbeing_engine_paused{" + t["sidecar,"] + "scope=\"\",namespace!=\"\",pod!=\"\"} == 1 unless on (" + t["cluster,"] + "namespace, pod) last_over_time(wellbeing:engine_path{kind!=\"litellm\",pod!=\"\"}[10m]))\n)\n"
    },
    {
     "record": "wellbeing:engine_shut",
     "expr": "group by (" + t["cluster,"] + "kind, job, instance, model) (\n  wellbeing:engine_scope{kind!=\"litellm\"} and on (" + t["cluster,"] + "namespace, pod, scope) wellbeing_paused{" + t["sidecar,"] + "pod!=\"\"} == 1\n  or wellbeing:engine_scope{kind!=\"litellm\"} and on (" + t["cluster,"] + "host, scope) label_replace(wellbeing_paused{" + t["sidecar,"] + "scope=\"\",pod=\"\"} == 1, \"host\", \"$1\", \"instance\", \"(.+?)(:[0-9]+)?\")\n  or wellbeing:engine_scope{kind!=\"litellm\"} and on (" + t["cluster,"] + "scope) (wellbeing_paused{" + t["sidecar,"] + "scope!=\"\"} == 1 unless on (" + t["cluster,"] + "namespace, pod) last_over_time(wellbeing:engine_path{kind!=\"litellm\",pod!=\"\"}[10m]))\n)\n"
    },
    {
     "record": "wellbeing:engine_settles",
     "expr": "wellbeing:engine_held\nor (\n  last_over_time(wellbeing:engine_held[10m]) or last_over_time(wellbeing:engine_shut[10m])\n  or (last_over_time(wellbeing:engine_held[1h]) or last_over_time(wellbeing:engine_shut[1h])) and on (" + t["cluster,"] + "kind, job, instance, model) wellbeing:engine_backlog:deriv5m < 0\n) unless on (" + t["cluster,"] + "kind, job, instance, model) wellbeing:engine_shut\n"
    },
    {
     "record": "wellbeing:litellm_paused",
     "expr": "group by (" + t["cluster,"] + "namespace, job, litellm_model_name) (\n  wellbeing:engine_scope{kind=\"litellm\"} and on (" + t["cluster,"] + "namespace, pod, scope) wellbeing_paused{" + t["sidecar,"] + "scope=\"\",pod!=\"\"} == 1\n  or wellbeing:engine_scope{kind=\"litellm\"} and on (" + t["cluster,"] + "host, scope) label_replace(wellbeing_paused{" + t["sidecar,"] + "scope=\"\",pod=\"\"} == 1, \"host\", \"$1\", \"instance\", \"(.+?)(:[0-9]+)?\")\n  or wellbeing:engine_scope{kind=\"litellm\"} and on (" + t["cluster,"] + "scope) wellbeing_paused{" + t["sidecar,"] + "scope!=\"\"} == 1\n  or wellbeing:engine_path{kind=\"litellm\"} and on (" + t["cluster,"] + "path) (label_replace(label_replace(wellbeing_paused{" + t["sidecar,"] + "scope=~\".+/.+\"} == 1, \"path\", \"$1\", \"scope\", \"(.+)/[^/]+\"), \"pod\", \"$1\", \"scope\", \".+/([^/]+)\") and on (" + t["cluster,"] + "pod) up)\n)\n"
    },
    {
     "record": "wellbeing:litellm_group_paused",
     "expr": "group by (" + t["cluster,"] + "namespace, job, model_group) (\n  litellm_deployment_total_requests_total{" + t["litellm,"] + "model_group!=\"\"} and on (" + t["cluster,"] + "namespace, job, litellm_model_name) wellbeing:litellm_paused\n)\n"
    }
   ]
  }
 ]
}
