-- An action for HAProxy 2.5 and later: the request waits at the gate; while it waits, it costs HAProxy nothing.
local GATE = "http://127.0.0.1:9477/v1/gate/team-a/llama?wait=30"
local TIMEOUT_MS = 40000                                -- above wait
local FAIL_OPEN = true                                  -- without a sidecar, every request passes; false: every one gets 503

local function first(headers, name)
  local values = headers and headers[name]
  return values and values[0]
end

core.register_action("wellbeing", {"http-req"}, function(txn)
  local answer = {status = 0}
  if txn.f:nbsrv("wellbeing") > 0 then                  -- else each request would try to connect for seconds
    answer = core.httpclient():get{url = GATE, timeout = TIMEOUT_MS}
  end
  local kind = first(answer.headers, "content-type")
  local paused = kind == "application/problem+json"
  if answer.status == 200 or (FAIL_OPEN and not paused) then
    return
  end
  local reply = txn:reply{status = 503, reason = "Service Unavailable", body = answer.body}
  reply:add_header("Content-Type", kind or "text/plain")
  reply:add_header("Retry-After", first(answer.headers, "retry-after") or "10")
  txn:done(reply)
end)
