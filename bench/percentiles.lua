-- What wrk found, in one line that a program reads.
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'FOUND {"requests": %d, "usecs": %d, "failed": %d, "p50": %d, "p99": %d, "p999": %d}\n',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
