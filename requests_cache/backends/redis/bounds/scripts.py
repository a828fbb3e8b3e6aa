"""Scripts that a server runs in one step: those for the index of bounded storages, and one about entries

The index of a storage is in values whose names begin alike, all in one slot of a cluster (see `index`). Entries are in
it by what follows on the namespace in their names, which holds no colon.

used       a sorted set: when each entry was last used, in microseconds since the epoch; later with each write of it
ends       a sorted set: when Redis removes entries, in seconds since the epoch; without those that it never removes
sizes      a hash: sizes of entries, in bytes; and
           `:bytes`, `:entries`     the sum of the sizes, and the number of entries
           `:complete`              once all entries that were there before have been counted
           `:generation`            tells whether the index was begun anew meanwhile
           `:rank`, `:scan`         how far the index, and the entries, have been looked at again
writers    a hash: `TOKEN MICROSECONDS`, who has reserved room for an entry and is about to write it, and since when. In
           a cluster only, as on one server a script reserves and writes at once.
"""

from __future__ import annotations

from ...eviction import ONE_IN

# How long a writer that has reserved room may take until its entry is there, and is not evicted
WRITER_SECONDS = 60
# How long a server keeps an index that nobody writes to; it is made anew then
LIFETIME_SECONDS = 30 * 24 * 3600
# How much later than it should have an entry is taken to be gone, as clocks differ
SLACK_SECONDS = 5
# How many entries are evicted in one step, at most, while others wait for the server
MOST_EVICTED = 64


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
  {WRITER_SECONDS}000000, {LIFETIME_SECONDS}, {SLACK_SECONDS}, {MOST_EVICTED}, {ONE_IN}
"""
INDEX_FUNCTIONS = (
    CONSTANTS
    + """
-- Numbers that the index has, 0 for none
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
-- Begin anew: until all entries have been counted, none is written
local function begin(now)
  call('DEL', used, ends, sizes, writers)
  call('HSET', sizes, ':generation', string.format('%.0f', now))
end
local function incomplete(now)
  if call('HEXISTS', sizes, ':generation') == 0 then begin(now) end
  return {'incomplete', call('HGET', sizes, ':generation')}
end
-- Whether a value is lost, as servers may delete some when memory is short
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
-- Those that must be gone by now, and those that were not used for the longest time; and the number of the former
local function first_to_go(count, now)
  local found, seen = call('ZRANGEBYSCORE', ends, '-inf', now / 1000000 - slack, 'LIMIT', 0, count), {}
  for _, member in ipairs(found) do seen[member] = true end
  local n_over = #found
  for _, member in ipairs(call('ZRANGE', used, 0, count - 1)) do
    if not seen[member] then found[#found + 1] = member end
  end
  return found, n_over
end
-- How many entries may have to go, and some more
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
