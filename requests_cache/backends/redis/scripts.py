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

from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Any

from ..eviction import ONE_IN
from .commands import UNDECODED, Command, is_cluster, on_server_of

# How long a writer that has reserved room may take until its entry is there, and is not evicted
WRITER_SECONDS = 60
# How long a server keeps an index that nobody writes to; it is made anew then
LIFETIME_SECONDS = 30 * 24 * 3600
# How much later than it should have an entry is taken to be gone, as clocks differ
SLACK_SECONDS = 5
# How many entries are evicted in one step, at most, while others wait for the server
MOST_EVICTED = 64


class Script:
    """A script

    Args:
        source: Its text
    """

    def __init__(self, source: str):
        self._source = source.encode('ascii')
        self._digest = sha1(self._source, usedforsecurity=False).hexdigest()

    def run(self, client: Any, names: Sequence[bytes], *arguments: Any) -> Any:
        """What it returns, with bytes for text

        Args:
            client: A client of any kind
            names: Names that it is about, all in one slot
            arguments: Numbers, text and bytes
        """
        if not is_cluster(client):
            return self._run(client, names, arguments)
        return on_server_of(client, names[0], lambda server: self._run(server, names, arguments))

    def _run(self, server: Any, names: Sequence[bytes], arguments: Sequence[Any]) -> Any:
        try:
            return server.execute_command('EVALSHA', self._digest, len(names), *names, *arguments, **UNDECODED)
        except Exception as e:
            if type(e).__name__ != 'NoScriptError':
                raise
        return server.execute_command('EVAL', self._source, len(names), *names, *arguments, **UNDECODED)

    def queue(self, pipeline: Any, *names: bytes, arguments: Iterable[Any] = ()) -> Any:
        """Have a pipeline run it, where it would be too late to learn that the server does not know it"""
        return pipeline.execute_command('EVAL', self._source, len(names), *names, *arguments, **UNDECODED)


def as_arguments(commands: Iterable[Command]) -> list[Any]:
    """Commands as arguments of a script: how long they are, and their parts

    Deleting comes first: it is what a user of Redis may not be permitted, and a script that fails undoes nothing.
    """
    ordered = sorted(commands, key=lambda command: command[0] != 'unlink')
    return [' '.join(str(len(command)) for command in ordered), *(part for command in ordered for part in command)]


_ARGUMENTS = """
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

_NAMES = """
local used, ends, sizes, writers = KEYS[1] .. 'used', KEYS[1] .. 'ends', KEYS[1] .. 'sizes', KEYS[1] .. 'writers'
"""

_CONSTANTS = f"""
local writer_microseconds, lifetime, slack, most_evicted, one_in =
  {WRITER_SECONDS}000000, {LIFETIME_SECONDS}, {SLACK_SECONDS}, {MOST_EVICTED}, {ONE_IN}
"""
_INDEX = (
    _CONSTANTS
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
INDEX = _ARGUMENTS + _NAMES + _INDEX

# Write an entry that is on the same server. Arguments:
#   numbers: now (microseconds), most bytes, most entries, how many candidates, number of uses, length of what the names
#     of entries begin with, whether a script can make their names (0 or 1), size, when it is removed (0 for never),
#     seconds until then (0 for never; -1 if commands write it)
#   name of the string, name of the hash
#   for each use: entry, microseconds
#   the string; or the commands that write it
# Returns 1 if it has been written; or `written`, and entries that were evicted; or `incomplete`, and the generation; or
# `full`, bytes, entries, and for each candidate: entry, when it was last used, size.
# What comes first is all that most writes need.
WRITE = Script(
    _NAMES
    + """
local now, most_bytes, most_entries, count, n_uses, n_start, is_plain, size, at, seconds = string.match(
  ARGV[1], '(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S+)')
local name, hash_name = ARGV[2], ARGV[3]
local member = string.sub(name, n_start + 1)
local known = redis.call('HMGET', sizes, ':complete', ':bytes', ':entries', member)
local bytes, entries, old = tonumber(known[2] or 0), tonumber(known[3] or 0), known[4]
local more_bytes, more_entries = size - (old or 0), old and 0 or 1
most_bytes, most_entries = tonumber(most_bytes), tonumber(most_entries)
local function has_room() return bytes + more_bytes <= most_bytes and entries + more_entries <= most_entries end
local function write_string(value)
  redis.call('UNLINK', hash_name)
  if seconds == '0' then redis.call('SET', name, value) else redis.call('SETEX', name, seconds, value) end
end
if has_room() and known[1] and not old and n_uses == '0' and seconds ~= '-1' then
  redis.call('HSET', sizes, member, size, ':bytes', bytes + more_bytes, ':entries', entries + more_entries)
  redis.call('ZADD', used, now, member)
  if at ~= '0' then redis.call('ZADD', ends, at, member) end
  write_string(ARGV[4])
  return 1
end
"""
    + _ARGUMENTS
    + _INDEX
    + """
now, count, position = tonumber(now), tonumber(count), 3
touch(tonumber(n_uses))
if not known[1] then return incomplete(now) end
if not has_room() and call('ZCARD', used) ~= entries then
  begin(now)
  return incomplete(now)
end
local n_evicted, start, reply = 0, string.sub(name, 1, n_start), {'written'}
while not has_room() and is_plain == '1' and n_evicted < most_evicted do
  -- Some more goes than has to, so that the next few writes find room
  local function excess(amount, most) return amount > most and amount - most + math.floor(most / one_in) or 0 end
  local bytes_to_go = excess(bytes + more_bytes, most_bytes)
  local entries_to_go = excess(entries + more_entries, most_entries)
  local wanted = math.max(entries_to_go, math.ceil(bytes_to_go * entries / math.max(bytes, 1))) + 1
  local gone, names, oldest, n_over = {}, {}, first_to_go(math.min(wanted, most_evicted), now)
  for i, their_size in ipairs(#oldest > 0 and have(unpack(oldest)) or {}) do
    local other = oldest[i]
    if string.find(other, '[{}]') then is_plain = '0' end
    if is_plain == '0' or (bytes_to_go <= 0 and entries_to_go <= 0) then break end
    if other ~= member then
      gone[#gone + 1] = other
      if i > n_over then reply[#reply + 1] = other end
      names[#names + 1] = start .. other
      names[#names + 1] = string.sub(start, 1, -2) .. '-body:{' .. start .. other .. '}'
      bytes_to_go, entries_to_go = bytes_to_go - their_size, entries_to_go - 1
    end
  end
  if #gone == 0 then break end
  call('UNLINK', unpack(names))
  bytes, entries = forget(gone, bytes, entries)
  n_evicted = n_evicted + #gone
end
if not has_room() then return list({'full', bytes + more_bytes, entries + more_entries}, count, now) end
note(member, size, tonumber(at), bytes + more_bytes, entries + more_entries)
if old then use(member, now) else call('ZADD', used, now, member) end
if seconds == '-1' then run_commands() else write_string(text()) end
return #reply > 1 and reply or 1
"""
)

# Reserve room for an entry that is on another server, or tell the index of uses, evict entries, list candidates.
#   numbers: now (microseconds), most bytes, most entries, how many candidates, number of entries that have been
#     written, of uses, of entries to be evicted, of entries to be written (0 or 1)
#   for each that has been written: entry, token, size (less than none: there is no entry), when it is removed
#   for each use: entry, microseconds
#   for each to be evicted: entry, when it was last used, number of names that are on this server, these names
#   for the one to be written: entry, token, size, when it is removed
# Returns the outcome, bytes, entries, number of writers, the size that there was before (-1 for no entry) and when it
# was to be removed; and if there is no room, candidates as above
STEP = Script(
    INDEX
    + """
local now, most_bytes, most_entries, count, n_written, n_uses, n_evictions, n_new = unpack(numbers())
for _ = 1, n_written do
  local member, token, size, at = text(), text(), number(), number()
  if string.match(call('HGET', writers, member) or '', '^%S*') == token then
    call('HDEL', writers, member)
    if size < 0 then
      forget({member}, usage())
    elseif size ~= have(member)[1] then
      account(member, size, at)
    end
  end
end
touch(n_uses)
local evicted = {}
for _ = 1, n_evictions do
  local member, last, n_names = text(), text(), number()
  local is_unused = call('ZSCORE', used, member) == last
  if is_unused then evicted[#evicted + 1] = member end
  for _ = 1, n_names do
    local name = text()
    if is_unused then call('UNLINK', name) end
  end
end
if #evicted > 0 then call('HDEL', writers, unpack(evicted)) end
local bytes, entries = forget(evicted, usage())
local outcome, old, old_end = 'none', -1, 0
if n_new == 1 then
  local member, token, size, at = text(), text(), number(), number()
  local known = call('HMGET', sizes, ':complete', member)
  if not known[1] then return incomplete(now) end
  local has_room = bytes + size - (known[2] or 0) <= most_bytes and entries + (known[2] and 0 or 1) <= most_entries
  if not has_room and is_damaged() then
    begin(now)
    return incomplete(now)
  end
  if known[2] then
    old, old_end = tonumber(known[2]), tonumber(call('ZSCORE', ends, member) or 0)
    if size >= old then bytes, entries = note(member, size, at, bytes + size - old, entries) end
    use(member, now)
    local writer = is_being_written(member, now) and call('HGET', writers, member)
    -- Of several, nobody knows who comes last, so that the largest size stays
    if writer and string.match(writer, '^%S*') ~= token then token = '*' end
  else
    bytes, entries = note(member, size, at, bytes + size, entries + 1)
    call('ZADD', used, now, member)
  end
  call('HSET', writers, member, token .. ' ' .. string.format('%.0f', now))
  outcome = 'reserved'
end
local reply = {outcome, bytes, entries, call('HLEN', writers), old, old_end}
if bytes > most_bytes or entries > most_entries then list(reply, count, now) end
return reply
"""
)

# Run commands about names in one slot in one step
RUN = Script(_ARGUMENTS + 'run_commands()')
