local texts = import 'texts.libsonnet';

local files = {
  'wellbeing-fleet.json': import 'dashboards/wellbeing-fleet.libsonnet',
  'wellbeing-scope.json': import 'dashboards/wellbeing-scope.libsonnet',
  'wellbeing-sidecar.json': import 'dashboards/wellbeing-sidecar.libsonnet',
};

{
  local config = $._config,

  grafanaDashboards+:: {
    [name]: files[name](texts(config)) { tags: config.dashboardTags }
    for name in std.objectFields(files)
  },
}
