local texts = import 'texts.libsonnet';

local files = {
  vllm: import 'rules/vllm.libsonnet',
  sglang: import 'rules/sglang.libsonnet',
  tgi: import 'rules/tgi.libsonnet',
  llamacpp: import 'rules/llamacpp.libsonnet',
  triton: import 'rules/triton.libsonnet',
  dynamo: import 'rules/dynamo.libsonnet',
  litellm: import 'rules/litellm.libsonnet',
  masks: import 'rules/masks.libsonnet',
  sidecar: import 'rules/sidecar.libsonnet',
};
local defaults = import 'thresholds.json';

{
  local config = $._config,

  local thresholds =
    local unknown = std.setDiff(std.set(std.objectFields(config.thresholds)), std.set(std.objectFields(defaults)));
    assert unknown == [] : 'thresholds has unknown names: %s' % std.join(', ', unknown);
    {
      name: 'wellbeing-thresholds',
      rules: [
        local value = config.thresholds[name];
        {
          record: 'wellbeing:threshold',
          expr: if std.isNumber(value) then 'vector(%.12g)' % value else value,
          labels: { name: name },
        }
        for name in std.objectFields(config.thresholds)
      ],
    },

  local wanted =
    local unknown = std.setDiff(std.set(config.engines), std.set(std.objectFields(files)));
    assert unknown == [] : 'engines has unknown names: %s' % std.join(', ', unknown);
    std.flattenArrays([files[name](texts(config)).groups for name in config.engines + ['masks', 'sidecar']]),

  local groups(kind) = std.filter(function(group) std.length(group.rules) > 0, [
    group { rules: [one for one in group.rules if std.objectHas(one, kind)] }
    for group in wanted
  ]),

  prometheusAlerts+:: { groups+: groups('alert') },
  prometheusRules+:: { groups+: [thresholds] + groups('record') },
}
