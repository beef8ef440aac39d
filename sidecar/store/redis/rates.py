"""Leases of rates and trials in Redis.

Each limit is a hash with a field for each sidecar that uses it. A field expires unless its sidecar renews it,
so a sidecar that ended blocks nothing for long. The shares never add up to more than the limit:

- A share grows only up to what the others leave. The share that a sidecar still uses counts as taken until
  its next request says that it uses the smaller one.
- Nine tenths of the limit are shared among waiting requests: the highest priority first, and within a
  priority in proportion. The rest fills a bucket in Redis, whose tokens are given at once to any sidecar that
  asks. Without Redis that tenth is divided equally among all sidecars, so that no sidecar is stuck.
- After Redis was down or lost data, its shares may be older than the shares in use. Then, for the duration of
  a lease, no share grows and the bucket gives no tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sidecar.store.leases import Lease, Need, RateLease, RateNeed, TrialLease

from .connection import RedisConnection
from .keys import RedisKeys
from .scripts import ALIVE

LEASE_SECS = 5.0

LEASE = (
    ALIVE
    + """
-- KEYS meta, then one limit each
-- ARGV sidecar lease-secs gap-secs, then for each limit: 'rate' limit burst held given-back wanted used, the
--      number waiting by priority from 9 to 0; or 'trial' requests granted wanted succeeded keep-ms
local now, calm = alive(KEYS[1], ARGV[2], ARGV[3])
local answers = {}
local at = 4

local function rate(key)
  local limit, burst, held = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local given, wanted, used = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local fields = redis.call('HGETALL', key)
  local tokens, filled_at, reserved, others = 1, now, 0, 0
  local waiting = {}
  for priority = 1, 10 do waiting[priority] = 0 end
  for i = 1, #fields, 2 do
    local words = {}
    for word in string.gmatch(fields[i + 1], '%S+') do words[#words + 1] = tonumber(word) end
    if fields[i] == 'bucket' then tokens, filled_at = words[1], words[2]
    else
      reserved = reserved + words[1]
      if fields[i] == ARGV[1] then
      elseif words[2] < now and not calm then redis.call('HDEL', key, fields[i])
      else
        others = others + words[1]
        for priority = 1, 10 do waiting[priority] = waiting[priority] + words[priority + 2] end
      end
    end
  end
  tokens = tokens + (now - filled_at) * math.max(0, limit - reserved) + given
  local most = limit * 0.9
  local left, entitled, own, all = most, 0, 0, 0
  local numbers = {}
  for priority = 1, 10 do
    local here = tonumber(ARGV[at + 6 + priority])
    if priority == 5 then here = here + used end
    numbers[priority] = here
    local total = waiting[priority] + here
    own, all = own + here, all + total
    if total > 0 then
      local part = math.min(left, total)
      entitled = entitled + part * here / total
      left = left - part
    end
  end
  if all > 0 then entitled = entitled + left * own / all end
  local share = math.max(0, math.min(entitled, most - others))
  local granted = 0
  if calm then share = math.min(share, held)
  else granted = math.min(wanted, math.floor(math.min(burst, tokens) + 1e-6)) end
  -- What is shared out has its burst at the sidecars.
  local free = 1 - (others + math.max(share, held)) / limit
  tokens = math.min(math.max(1, burst * free), math.max(0, tokens - granted))
  if own == 0 and held == 0 then redis.call('HDEL', key, ARGV[1])
  else
    local value = string.format('%.6f %.6f ', math.max(share, held), now + tonumber(ARGV[2]))
    redis.call('HSET', key, ARGV[1], value .. table.concat(numbers, ' '))
  end
  redis.call('HSET', key, 'bucket', string.format('%.6f %.6f', tokens, now))
  redis.call('PEXPIRE', key, 60000)
  at = at + 17
  return {string.format('%.6f', share), tostring(granted), string.format('%.6f', entitled)}
end

local function trial(key)
  local left, granted = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local wanted, succeeded = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local fields = redis.call('HGETALL', key)
  local all = succeeded
  for i = 1, #fields, 2 do
    if fields[i] ~= ARGV[1] then
      local taken, done = string.match(fields[i + 1], '(%d+) (%d+)')
      left, all = left - tonumber(taken), all + tonumber(done)
    end
  end
  local more = 0
  if not calm then more = math.max(0, math.min(wanted, left - granted)) end
  redis.call('HSET', key, ARGV[1], string.format('%.0f %.0f', granted + more, succeeded))
  redis.call('PEXPIRE', key, ARGV[at + 5])
  at = at + 6
  return {tostring(more), tostring(all)}
end

for index = 2, #KEYS do
  if ARGV[at] == 'rate' then answers[index - 1] = rate(KEYS[index])
  else answers[index - 1] = trial(KEYS[index]) end
end
return answers
"""
)

GAP_SECS = 4.0
"""If no sidecar was seen for this long, Redis was down. Sidecars report more often than that."""

_PRIORITIES = 10


class RedisRates:
    """Leases shares of rates, and tokens of trials.

    Args:
        connection: the connection.
        keys: names of the keys.
        sidecar_id: identifies this process.
    """

    def __init__(self, connection: RedisConnection, keys: RedisKeys, sidecar_id: str) -> None:
        self._connection = connection
        self._keys = keys
        self._sidecar_id = sidecar_id

    async def lease(self, needs: Sequence[Need]) -> list[Lease]:
        """The lease for each need. Raises `StoreUnavailable`."""
        keys = [self._keys.meta, *(self._keys.limit(need.name) for need in needs)]
        args: list[str | int] = [self._sidecar_id, repr(LEASE_SECS), repr(GAP_SECS)]
        for need in needs:
            args += _args_of(need)
        answers = await self._connection.run(LEASE, keys, args)
        return [_lease_of(need, answer) for need, answer in zip(needs, answers, strict=True)]


def _args_of(need: Need) -> list[str | int]:
    if isinstance(need, RateNeed):
        numbers = [repr(need.limit), repr(need.burst), f"{need.held:.6f}", f"{need.given_back:.6f}"]
        return ["rate", *numbers, need.wanted, need.used, *reversed(need.waiting)]
    keep_millis = int(need.keep_secs * 1000)
    return ["trial", need.requests, need.granted, need.wanted, need.succeeded, keep_millis]


def _lease_of(need: Need, answer: list[Any]) -> Lease:
    if isinstance(need, RateNeed):
        share, tokens, entitled = (float(text) for text in answer)
        return RateLease(share, tokens, entitled)
    return TrialLease(int(answer[0]), int(answer[1]))
