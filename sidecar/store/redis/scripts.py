"""The Lua scripts. Each runs in Redis as one atomic step.

A record is stored as ``VERSION JSON``, a source's version as a number. Lua does not convert JSON, because its
numbers would lose digits.

Redis may evict a key, and other programs may delete or change one. So the hash of the records has the epoch
in a field of its own. If the epoch is missing, or a number is not valid, the data set gets a new epoch, and
the sidecars write the lost records again.
"""

from __future__ import annotations

import hashlib

ALIVE = """
-- Notes that a sidecar has asked. Returns the time, and whether leases may be older than those in use.
local function alive(meta, lease_secs, gap_secs)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
  local known = redis.call('HMGET', meta, 'epoch', 'alive', 'calm_until')
  if not known[1] then return now, true end
  local last, calm_until = tonumber(known[2] or now), tonumber(known[3] or 0)
  if now - last > tonumber(gap_secs) then
    calm_until = now + tonumber(lease_secs)
    redis.call('HSET', meta, 'calm_until', string.format('%.6f', calm_until))
  end
  if not known[2] or now - last > 1 then redis.call('HSET', meta, 'alive', string.format('%.6f', now)) end
  return now, now < calm_until
end
"""

EPOCH_FIELD = "#epoch"
"""The field with the epoch in the hash of the records. No scope has this name."""

WHOLE = """
-- The epoch as a record, which versions without this field can read.
local function mark(epoch) return '0 {"epoch":"' .. epoch .. '"}' end
-- Whether the records belong to the epoch, and the numbers are valid.
local function whole(scopes, epoch, seq, history)
  return epoch and string.match((seq or '0') .. (history or '0'), '^%d+$')
    and redis.call('HGET', scopes, '#epoch') == mark(epoch)
end
"""

COMMIT = (
    WHOLE
    + """
-- KEYS meta scopes sources tombstones log history lease turns
-- ARGV schema epoch applied token-of-applied token sidecar term channel at watchdog? watchdog body turn
--      announced ('': as in the log)
--      then lists, each with its length first: scope version, source version (to check);
--      scope json, source present, source tombstone, entry (to write; '' removes)
local function broken()
  redis.call('HDEL', KEYS[1], 'epoch')
  return {'back'}
end
-- Whether Redis refuses every write: no memory, a replica, a full disk. Then nothing is broken.
local function refuses(added)
  for _, word in ipairs({'OOM', 'READONLY', 'MISCONF', 'NOREPLICAS'}) do
    if string.find(added.err, word, 1, true) then return true end
  end
end
-- Notes that the sidecar waits to change a key. Returns how many have waited for longer.
local function queue(turns)
  local time = redis.call('TIME')
  local now = time[1] * 1e6 + time[2]
  -- Those that have stopped, or given up.
  redis.pcall('ZREMRANGEBYSCORE', turns, '-inf', string.format('%.0f', now - 11e6))
  redis.pcall('ZADD', turns, 'NX', string.format('%.0f', now), ARGV[6])
  redis.pcall('PEXPIRE', turns, 11000)
  local rank = redis.pcall('ZRANK', turns, ARGV[6])
  return type(rank) == 'number' and rank or 0
end
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'schema', 'term', 'history')
if meta[3] and meta[3] ~= ARGV[1] then return {'schema', meta[3]} end
if meta[1] and not whole(KEYS[2], meta[1], meta[2], meta[5]) then return broken() end
local seq, applied = tonumber(meta[2] or '0'), tonumber(ARGV[3])
if meta[1] ~= ARGV[2] or applied > seq then return {'back'} end
if applied > 0 then
  local own = redis.call('XRANGE', KEYS[5], ARGV[3] .. '-0', ARGV[3] .. '-0')
  if own[1] and own[1][2][2] ~= ARGV[4] then return {'back'} end
end
if ARGV[7] ~= '' and (meta[4] ~= ARGV[7] or redis.call('GET', KEYS[7]) ~= ARGV[6]) then return {'term'} end
local i = 15
for pass = 1, 2 do
  local count = tonumber(ARGV[i])
  i = i + 1
  for _ = 1, count do
    local now = redis.call('HGET', KEYS[pass + 1], ARGV[i])
    if (now and string.match(now, '^%d+') or '0') ~= ARGV[i + 1] then
      local key = (pass == 1 and 'scope:' or 'source:') .. ARGV[i]
      return {'conflict', string.format('%.0f', seq), key, queue(KEYS[8] .. key)}
    end
    i = i + 2
  end
end
if ARGV[12] == '' then return {'valid', string.format('%.0f', seq)} end
seq = string.format('%.0f', seq + 1)
-- First what can fail: after an error Redis keeps what a script has written.
local writes = i
for _ = 1, 3 do i = i + 1 + 2 * tonumber(ARGV[i]) end
redis.call('HLEN', KEYS[4])
local newest = redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 1)[1]
if newest and tonumber(string.match(newest[1], '^%d+')) >= tonumber(seq) then return broken() end
local count = tonumber(ARGV[i])
if count > 0 then
  local id = tonumber(meta[5] or '0')
  for one = 1, count do
    local added = redis.pcall('XADD', KEYS[6], string.format('%.0f-0', id + one), 'e', ARGV[i + one])
    if added.err then return refuses(added) and added or broken() end
  end
  redis.call('HSET', KEYS[1], 'history', string.format('%.0f', id + count))
end
local added = redis.pcall('XADD', KEYS[5], seq .. '-0', 't', ARGV[5], 'b', ARGV[12])
if added.err then return refuses(added) and added or broken() end
redis.call('HSET', KEYS[1], 'seq', seq, 'written_at', ARGV[9])
if ARGV[13] ~= '' then redis.pcall('ZREM', KEYS[8] .. ARGV[13], ARGV[6]) end
if ARGV[10] == '1' then redis.call('HSET', KEYS[1], 'watchdog', ARGV[11]) end
i = writes
for pass = 1, 3 do
  local count = tonumber(ARGV[i])
  i = i + 1
  for _ = 1, count do
    if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[pass + 1], ARGV[i])
    elseif pass == 1 then redis.call('HSET', KEYS[2], ARGV[i], seq .. ' ' .. ARGV[i + 1])
    elseif pass == 2 then redis.call('HSET', KEYS[3], ARGV[i], seq)
    else redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1]) end
    i = i + 2
  end
end
-- A sidecar that does not know patches takes '~epoch' for another epoch, and reads the log.
local announced = ARGV[14] == '' and ARGV[12] or ARGV[14]
local message = seq .. ' ' .. ARGV[5] .. ' ' .. (ARGV[14] == '' and '' or '~') .. ARGV[2]
if #announced <= 262144 then message = message .. ' ' .. announced end
redis.call('PUBLISH', ARGV[8], message)
return {'committed', seq}
"""
)

BEAT = (
    ALIVE
    + WHOLE
    + """
-- KEYS meta lease watchdog scopes
-- ARGV sidecar lease-ms channel rate-lease-secs gap-secs prove-writes?
local now = alive(KEYS[1], ARGV[4], ARGV[5])
local holder = redis.call('GET', KEYS[2])
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'history', 'term')
if meta[1] and not whole(KEYS[4], meta[1], meta[2], meta[3]) then
  redis.call('HDEL', KEYS[1], 'epoch')
  meta[1] = false
end
-- A Redis without memory, or a replica, answers and refuses writes.
if ARGV[6] == '1' then redis.call('HSET', KEYS[1], 'alive', string.format('%.6f', now)) end
if meta[4] and not string.match(meta[4], '^%d+$') then
  redis.call('HDEL', KEYS[1], 'term')
  meta[4] = false
end
if holder == ARGV[1] and meta[4] then redis.call('PEXPIRE', KEYS[2], ARGV[2])
elseif holder == ARGV[1] and meta[1] then redis.call('HINCRBY', KEYS[1], 'term', 1)
elseif not holder and meta[1] then
  redis.call('HINCRBY', KEYS[1], 'term', 1)
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  holder = ARGV[1]
end
local time = redis.call('TIME')
local term = redis.call('HGET', KEYS[1], 'term') or '0'
local heard = redis.call('HMGET', KEYS[3], 'alertname', 'firing', 'resolved')
local sidecars = redis.call('PUBSUB', 'NUMSUB', ARGV[3])[2]
return {time[1], time[2], meta[1] or '', meta[1] and meta[2] or '0', holder or '', term, sidecars,
  heard[1] or '', heard[2] or '', heard[3] or ''}
"""
)

WATCHDOG = """
-- KEYS watchdog
-- ARGV alertname firing|resolved fingerprint startsAt|endsAt
if redis.call('HGET', KEYS[1], 'alertname') ~= ARGV[1] then redis.call('DEL', KEYS[1]) end
local last = redis.call('HMGET', KEYS[1], 'fingerprint', 'starts_at')
local at, starts_at = tonumber(ARGV[4]), tonumber(last[2] or '0')
if ARGV[2] == 'resolved' then
  if last[1] == ARGV[3] and at < starts_at then return 0 end
elseif ARGV[3] ~= '' and at >= starts_at then
  redis.call('HSET', KEYS[1], 'fingerprint', ARGV[3], 'starts_at', ARGV[4])
end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'alertname', ARGV[1], ARGV[2], time[1] .. '.' .. string.format('%06d', time[2]))
return 1
"""

RELEASE = """
-- KEYS lease
-- ARGV sidecar
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 'OK'
"""

LOAD = (
    WHOLE
    + """
-- KEYS meta scopes sources tombstones log history
-- ARGV schema new-epoch tokens, epoch and number of the last commit that the sidecar knows, lease-secs
-- A replica, which a master may have become, can be read as well: nothing is written without need.
local function last(key)
  local entry = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  return entry and tonumber(string.match(entry[1], '^%d+')) or 0
end
local known = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'history')
if not whole(KEYS[2], known[1], known[2], known[3]) then
  known[1] = ARGV[2]
  known[2] = string.format('%.0f', math.max(tonumber(known[2] or '0') or 0, last(KEYS[5])))
  local history = string.format('%.0f', math.max(tonumber(known[3] or '0') or 0, last(KEYS[6])))
  redis.call('HSET', KEYS[1], 'epoch', known[1], 'seq', known[2], 'history', history)
  redis.call('HSETNX', KEYS[1], 'schema', ARGV[1])
  redis.call('HSET', KEYS[2], '#epoch', mark(known[1]))
end
if ARGV[4] ~= '' and (known[1] ~= ARGV[4] or tonumber(known[2] or 0) < tonumber(ARGV[5])) then
  -- The leases of rates were lost as well.
  redis.pcall('HSET', KEYS[1], 'calm_until', string.format('%.0f', redis.call('TIME')[1] + 1 + ARGV[6]))
end
local function line(text)
  -- Only another program writes line breaks, or so much.
  return (#text > 8388608 or string.find(text, '\\n', 1, true)) and '?' or text
end
local function text(key)
  local all = redis.call('HGETALL', key)
  for i = 1, #all do all[i] = line(all[i]) end
  return table.concat(all, '\\n')
end
local tokens = {}
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', ARGV[3])) do
  tokens[#tokens + 1] = string.match(entry[1], '^%d+')
  tokens[#tokens + 1] = line(entry[2][2])
end
return {text(KEYS[1]), text(KEYS[2]), text(KEYS[3]), text(KEYS[4]), table.concat(tokens, '\\n')}
"""
)


def digest(script: str) -> str:
    """The digest by which Redis identifies ``script`` once it has run."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
