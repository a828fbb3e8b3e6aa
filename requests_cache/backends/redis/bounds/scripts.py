"""Shared parts of the Lua scripts for the index of bounded storages; a server runs each script in one step

The index of a storage consists of four values, whose names have the same prefix and are in one slot of a cluster (see
`index`). A member of the index is the name of an entry without the namespace, and contains no colon.

used       a sorted set: when each entry was last used, in microseconds since the epoch; increases with each write
ends       a sorted set: when Redis removes entries, in seconds since the epoch; without those that it never removes
sizes      a hash: sizes of entries in bytes, and these fields:
           `:bytes`, `:entries`     the sum of the sizes, and the number of entries
           `:complete`              exists once all older entries have been counted
           `:generation`            changes when the index is started again
           `:rank`, `:scan`         how far the index and the entries have been checked
writers    a hash: `TOKEN MICROSECONDS` for each entry that is being written: the writer, and when it reserved room.
           Only in a cluster; on one server, a script reserves and writes in one step.
"""

from __future__ import annotations

from ...eviction import ONE_IN

# How long an entry is not evicted after its writer has reserved room, so that the writer can finish
WRITER_SECONDS = 60
# How long a server keeps an unused index; it is created again when it is needed
LIFETIME_SECONDS = 30 * 24 * 3600
# Tolerance for differences between clocks: an entry counts as removed this much after its removal time
SLACK_SECONDS = 5
# Maximum number of entries that are evicted in one step, as other clients have to wait meanwhile
MAX_EVICTED = 64


ARGUMENTS = """
local call, position = redis.call, 0
local function text()
  position = position + 1
  return ARGV[position]
end
local function number() return tonumber(text()) end
local function numbers()
  local found = {}
  for digits in string.gmatch(text(), '%S+') do found[#found + 1] = tonumber(digits) end
  return found
end
local function run_commands()
  for _, length in ipairs(numbers()) do
    local command = {}
    for i = 1, length do command[i] = text() end
    call(unpack(command))
  end
end
"""

NAMES = """
local used, ends, sizes, writers = KEYS[1] .. 'used', KEYS[1] .. 'ends', KEYS[1] .. 'sizes', KEYS[1] .. 'writers'
"""

CONSTANTS = f"""
local writer_microseconds, lifetime, slack, most_evicted, one_in =
  {WRITER_SECONDS}000000, {LIFETIME_SECONDS}, {SLACK_SECONDS}, {MAX_EVICTED}, {ONE_IN}
"""
INDEX_FUNCTIONS = (
    CONSTANTS
    + """
-- Sizes of members, or other numbers in `sizes`; 0 for missing ones
local function have(...)
  local found = call('HMGET', sizes, ...)
  for i = 1, #found do found[i] = tonumber(found[i] or 0) end
  return found
end
local function usage() return unpack(have(':bytes', ':entries')) end
local function use(member, now)
  call('ZADD', used, math.max(now, tonumber(call('ZSCORE', used, member) or 0) + 1), member)
end
local function note(member, size, at, bytes, entries)
  call('HSET', sizes, member, size, ':bytes', bytes, ':entries', entries)
  if at > 0 then call('ZADD', ends, at, member) else call('ZREM', ends, member) end
  return bytes, entries
end
local function account(member, size, at)
  local bytes, entries = usage()
  local old = call('HGET', sizes, member)
  return note(member, size, at, bytes + size - (old or 0), entries + (old and 0 or 1))
end
local function forget(members, bytes, entries)
  if #members > 0 then
    for _, size in ipairs(have(unpack(members))) do
      bytes = bytes - size
      entries = entries - (size > 0 and 1 or 0)
    end
    call('HSET', sizes, ':bytes', bytes, ':entries', entries)
    call('HDEL', sizes, unpack(members))
    call('ZREM', used, unpack(members))
    call('ZREM', ends, unpack(members))
  end
  return bytes, entries
end
local function is_being_written(member, now)
  local writer = call('HGET', writers, member)
  return writer and now - tonumber(string.match(writer, '%d+$')) < writer_microseconds
end
-- Start again: no entry is written until all existing ones have been counted
local function begin(now)
  call('DEL', used, ends, sizes, writers)
  call('HSET', sizes, ':generation', string.format('%.0f', now))
end
local function incomplete(now)
  if call('HEXISTS', sizes, ':generation') == 0 then begin(now) end
  return {'incomplete', call('HGET', sizes, ':generation')}
end
-- Whether one of the values was lost, as servers may delete values when their memory is full
local function is_damaged()
  return call('ZCARD', used) ~= have(':entries')[1]
end
local function touch(count)
  for _ = 1, count do
    local member, at = text(), text()
    local last = call('ZSCORE', used, member)
    if last and tonumber(last) < tonumber(at) then call('ZADD', used, at, member) end
  end
end
-- Entries that Redis must have removed by now, then the least recently used ones; and the number of the former
local function first_to_go(count, now)
  local found, seen = call('ZRANGEBYSCORE', ends, '-inf', now / 1000000 - slack, 'LIMIT', 0, count), {}
  for _, member in ipairs(found) do seen[member] = true end
  local n_over = #found
  for _, member in ipairs(call('ZRANGE', used, 0, count - 1)) do
    if not seen[member] then found[#found + 1] = member end
  end
  return found, n_over
end
-- Estimate how many entries must be evicted, and add a few
local function excess(amount, most) return amount > most and amount - most + math.floor(most / one_in) or 0 end
local function count_to_go(count, bytes, entries, most_bytes, most_entries)
  local by_size = math.ceil(excess(bytes, most_bytes) * entries / math.max(bytes, 1))
  return math.min(count, math.max(excess(entries, most_entries), by_size) + 2)
end
local function list(reply, count, now)
  if count == 0 then return reply end
  local found = first_to_go(count, now)
  for _, member in ipairs(found) do
    if not is_being_written(member, now) then
      reply[#reply + 1] = member
      reply[#reply + 1] = call('ZSCORE', used, member) or ''
      reply[#reply + 1] = have(member)[1]
    end
  end
  return reply
end
"""
)
INDEX = ARGUMENTS + NAMES + INDEX_FUNCTIONS
