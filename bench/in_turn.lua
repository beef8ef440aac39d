-- Asks the gates of s/0, s/1, … in turn, as many as the last argument says.
local requests, next = {}, 0

function init(args)
  for number = 0, tonumber(args[#args]) - 1 do
    requests[number] = wrk.format("GET", "/v1/gate/s/" .. number)
  end
end

function request()
  local found = requests[next]
  next = next + 1
  if requests[next] == nil then next = 0 end
  return found
end
