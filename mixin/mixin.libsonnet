// The alerts, recording rules and dashboards of the wellbeing sidecar, for jsonnet. config.libsonnet has the settings.
(import 'config.libsonnet') +
(import 'rules.libsonnet') +
(import 'dashboards.libsonnet')
