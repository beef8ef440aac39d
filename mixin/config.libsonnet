{
  _config+:: {
    // The engines whose rules are included. Masks, thresholds and the sidecar's rules are always included.
    engines: ['vllm', 'sglang', 'tgi', 'llamacpp', 'triton', 'dynamo', 'litellm'],

    // Label matchers for every series of a source, such as 'job="vllm"' or 'job="vllm",namespace=~"team-.+"'.
    selectors: {
      vllm: '',
      sglang: '',
      tgi: '',
      llamacpp: '',
      triton: '',
      dynamo: '',
      litellm: '',
      sidecar: '',
    },

    // The label that names the cluster: the dashboards' variable Cluster reads it.
    clusterLabel: 'cluster',
    // Whether one Prometheus, Mimir or Thanos ruler evaluates the rules for several clusters; the rules then distinguish them.
    multiCluster: false,

    // What alerts compare with: a number, or a PromQL expression that gives a vector of one element. alerts/thresholds.rules.yml says
    // what each is.
    thresholds: import 'thresholds.json',

    // Text before each runbook_url, such as 'https://example.com/'. Without it they are paths in the repository.
    runbookURLPrefix: '',

    dashboardTags: ['wellbeing'],
  },
}
