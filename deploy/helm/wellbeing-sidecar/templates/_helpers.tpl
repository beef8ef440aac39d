{{/* Names, labels, the image, and the configs that are merged over the chart's own. */}}

{{- define "wellbeing-sidecar.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "wellbeing-sidecar.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "wellbeing-sidecar.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "wellbeing-sidecar.selector" -}}
app.kubernetes.io/name: {{ include "wellbeing-sidecar.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: gate
{{- end -}}

{{/* Labels of every object except those of the gate. */}}
{{- define "wellbeing-sidecar.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "wellbeing-sidecar.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: wellbeing
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of the gate's objects. */}}
{{- define "wellbeing-sidecar.gateLabels" -}}
{{ include "wellbeing-sidecar.labels" . }}
app.kubernetes.io/component: gate
{{- end -}}

{{/* Labels of the Prometheus operator's objects. */}}
{{- define "wellbeing-sidecar.monitoringLabels" -}}
{{ include "wellbeing-sidecar.labels" . }}
{{- with .Values.monitoring.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "wellbeing-sidecar.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "wellbeing-sidecar.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "wellbeing-sidecar.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "wellbeing-sidecar.tokens" -}}
{{- default .Values.tokens.name .Values.tokens.existingSecret -}}
{{- end -}}

{{/* The gate's config. A store in `gate.config` takes precedence over `gate.store`. */}}
{{- define "wellbeing-sidecar.gateConfig" -}}
{{- $config := .Files.Get "files/gate.yaml" | fromYaml -}}
{{- with .Values.monitoring.alertmanagerUrls -}}
{{- $_ := set $config.alerts "alertmanager_urls" . -}}
{{- end -}}
{{- if .Values.monitoring.watchdog.enabled -}}
{{- $_ := set $config.alerts "watchdog" (dict "alertname" "WellbeingWatchdog") -}}
{{- end -}}
{{- if eq .Values.gate.store.type "redis" -}}
{{- $_ := set $config.store "url" .Values.gate.store.url -}}
{{- $_ := unset $config.store "on_corrupt" -}}
{{- end -}}
{{- toYaml (mergeOverwrite $config .Values.gate.config) -}}
{{- end -}}

{{- define "wellbeing-sidecar.sidecarConfig" -}}
{{- $config := .Files.Get "files/sidecar.yaml" | fromYaml -}}
{{- with .Values.monitoring.alertmanagerUrls -}}
{{- $_ := set $config.alerts "alertmanager_urls" . -}}
{{- end -}}
{{- toYaml (mergeOverwrite $config .Values.injection.config) -}}
{{- end -}}

{{/* Refuses values that do not work together, with one sentence for each. */}}
{{- define "wellbeing-sidecar.check" -}}
{{- if and .Values.gate.enabled (gt (int .Values.gate.replicas) 1) (ne .Values.gate.store.type "redis") -}}
{{- fail "gate.replicas: more than one pod needs a store that they share: set gate.store.type to redis, and gate.store.url" -}}
{{- end -}}
{{- if and (eq .Values.gate.store.type "redis") (not .Values.gate.store.url) -}}
{{- fail "gate.store.url: the URL of Redis is missing, for example redis://redis.team-a.svc:6379/0" -}}
{{- end -}}
{{- if and (eq .Values.gate.store.type "sqlite") .Values.gate.store.url -}}
{{- fail "gate.store.url: belongs to gate.store.type redis" -}}
{{- end -}}
{{- if and .Values.gate.persistence.enabled (eq .Values.gate.store.type "redis") -}}
{{- fail "gate.persistence.enabled: with gate.store.type redis the state is in Redis; a volume has no use" -}}
{{- end -}}
{{- if and .Values.monitoring.podMonitor.enabled (not .Values.injection.enabled) -}}
{{- fail "monitoring.podMonitor.enabled: there are no sidecars to scrape without injection.enabled" -}}
{{- end -}}
{{- range list "serviceMonitor" "alertmanagerConfig" -}}
{{- if and (index $.Values.monitoring .).enabled (not $.Values.gate.enabled) -}}
{{- fail (printf "monitoring.%s.enabled: it needs gate.enabled" .) -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.gate.enabled) (or .Values.ingress.enabled .Values.httpRoute.enabled) -}}
{{- fail "ingress.enabled, httpRoute.enabled: they need gate.enabled" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: name at least one host; an Ingress without a rule leads nowhere" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: name the Gateway that the route belongs to" -}}
{{- end -}}
{{- end -}}
