// The alerts, recording rules and dashboards of the wellbeing sidecar, for jsonnet. What can be set is in config.libsonnet.
(import 'config.libsonnet') +
(import 'rules.libsonnet') +
(import 'dashboards.libsonnet')
