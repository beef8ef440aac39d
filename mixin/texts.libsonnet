// The texts of the config that the generated files use.
local sources = ['vllm', 'sglang', 'tgi', 'llamacpp', 'triton', 'dynamo', 'litellm', 'sidecar'];

function(config)
  local unknown = std.setDiff(std.set(std.objectFields(config.selectors)), std.set(sources));
  assert unknown == [] : 'selectors has unknown names: %s' % std.join(', ', unknown);
  local selector(name) = std.get(config.selectors, name, '');
  { [name + ',']: if selector(name) == '' then '' else selector(name) + ',' for name in sources } +
  { ['{' + name + '}']: if selector(name) == '' then '' else '{' + selector(name) + '}' for name in sources } +
  {
    'cluster,': if config.multiCluster then config.clusterLabel + ', ' else '',
    cluster: config.clusterLabel,
    runbooks: config.runbookURLPrefix,
  }
