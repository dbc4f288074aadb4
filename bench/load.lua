-- What wrk sends: the requests of a file, in turns. A line is a method, a path and a body, with tabs between.

local ready, at = {}, 0

function init()
  local headers = { ["content-type"] = "application/json" }
  local token = os.getenv("BENCH_TOKEN")
  if token and token ~= "" then headers["authorization"] = "Bearer " .. token end
  for line in io.lines(os.getenv("BENCH_REQUESTS")) do
    local method, path, body = line:match("^(%u+)\t([^\t]+)\t(.*)$")
    if body == "" then body = nil end
    ready[#ready + 1] = wrk.format(method, path, headers, body)
  end
end

function request()
  at = at % #ready + 1
  return ready[at]
end

function done(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format(
    'BENCH {"requests": %d, "microseconds": %d, "bytes": %d, "failed": %d, "p50": %d, "p95": %d, "p99": %d}\n',
    summary.requests, summary.duration, summary.bytes,
    failed.connect + failed.read + failed.write + failed.status + failed.timeout,
    latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
