"""Scripts that make room for entries and write them; see `scripts`"""

from __future__ import annotations

from .scripting import Script
from .scripts import ARGUMENTS, INDEX_FUNCTIONS, NAMES

# Write an entry on the same server. Arguments:
#   numbers: now (microseconds), maximum bytes, maximum entries, number of candidates, number of uses, length of the
#     prefix of the names of entries, whether a script can create these names (0 or 1), size, when the entry is removed
#     (0 for never), seconds until then (0 for never; -1 if commands write the entry)
#   name of the string, name of the hash
#   for each use: member, microseconds
#   the string, or the commands that write the entry
# Returns 1 if the entry was written; or `written` and the evicted members; or `incomplete` and the generation; or
# `full`, bytes, entries, and for each candidate: member, when it was last used, size.
# The part before ARGUMENTS is all that most writes need.
WRITE = Script(
    NAMES
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
    + ARGUMENTS
    + INDEX_FUNCTIONS
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
  local missing_bytes = math.max(bytes + more_bytes - most_bytes, 0)
  local missing_entries = math.max(entries + more_entries - most_entries, 0)
  local wanted = count_to_go(most_evicted, bytes + more_bytes, entries + more_entries, most_bytes, most_entries)
  local gone, names, oldest, n_over = {}, {}, first_to_go(wanted, now)
  for i, their_size in ipairs(#oldest > 0 and have(unpack(oldest)) or {}) do
    local other, is_required = oldest[i], missing_bytes > 0 or missing_entries > 0
    if other ~= member then
      missing_bytes, missing_entries = missing_bytes - their_size, missing_entries - 1
      -- Evict a few more, so that the next writes find room
      local is_too_many = missing_bytes < -most_bytes / one_in or missing_entries < -most_entries / one_in
      if string.find(other, '[{}]') then is_plain = '0' end
      if is_plain == '0' or (is_too_many and not is_required) then break end
      gone[#gone + 1] = other
      if i > n_over then reply[#reply + 1] = other end
      names[#names + 1] = start .. other
      names[#names + 1] = string.sub(start, 1, -2) .. '-body:{' .. start .. other .. '}'
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

# Update the index with uses and written entries, evict entries, reserve room for an entry on another server, and list
# candidates. Arguments:
#   numbers: now (microseconds), maximum bytes, maximum entries, number of candidates, number of written entries, of
#     uses, of entries to evict, of entries to write (0 or 1)
#   for each written entry: member, token, size (negative if there is no entry), when it is removed
#   for each use: member, microseconds
#   for each entry to evict: member, when it was last used, number of its names on this server, these names
#   for the entry to write: member, token, size, when it is removed
# Returns the number of writers, bytes and entries. Unless the entry is new and there is room for it, these are followed
# by the size of the replaced entry (-1 for none), when that would be removed and, if there is no room, candidates as
# above. If the index is incomplete, it returns `incomplete` and the generation. The part before ARGUMENTS is all that
# most writes need.
STEP = Script(
    NAMES
    + """
local n_written, n_others = string.match(ARGV[1], '^%S+ %S+ %S+ %S+ (%d) (%d+ %d+) 1$')
if n_others == '0 0' and (n_written == '0' or n_written == '1') then
  local first = n_written == '1' and 6 or 2
  local now, most_bytes, most_entries = string.match(ARGV[1], '(%S+) (%S+) (%S+)')
  local member, token, size, at = ARGV[first], ARGV[first + 1], ARGV[first + 2], ARGV[first + 3]
  local written, size_written = first == 6 and ARGV[2] or ':none', first == 6 and ARGV[4]
  local known = redis.call('HMGET', sizes, ':complete', ':bytes', ':entries', member, written)
  local bytes, entries = (known[2] or 0) + size, (known[3] or 0) + 1
  local has_room = bytes <= tonumber(most_bytes) and entries <= tonumber(most_entries)
  if known[1] and not known[4] and has_room and known[5] == size_written then
    local writer = first == 6 and redis.call('HGET', writers, written)
    if writer and string.match(writer, '^%S*') == ARGV[3] then redis.call('HDEL', writers, written) end
    redis.call('HSET', sizes, member, size, ':bytes', bytes, ':entries', entries)
    redis.call('ZADD', used, now, member)
    if at ~= '0' then redis.call('ZADD', ends, at, member) end
    redis.call('HSET', writers, member, token .. ' ' .. now)
    return {redis.call('HLEN', writers), bytes, entries}
  end
end
"""
    + ARGUMENTS
    + INDEX_FUNCTIONS
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
local evicted, seen = {}, {}
for _ = 1, n_evictions do
  local member, last, n_names = text(), text(), number()
  local is_unused = not seen[member] and call('ZSCORE', used, member) == last
  -- Two threads may evict the same entry
  seen[member] = true
  if is_unused then evicted[#evicted + 1] = member end
  for _ = 1, n_names do
    local name = text()
    if is_unused then call('UNLINK', name) end
  end
end
if #evicted > 0 then call('HDEL', writers, unpack(evicted)) end
local bytes, entries = forget(evicted, usage())
local old, old_end = -1, 0
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
    -- If there are several writers, the last one is unknown, so the largest size counts
    if writer and string.match(writer, '^%S*') ~= token then token = '*' end
  else
    bytes, entries = note(member, size, at, bytes + size, entries + 1)
    call('ZADD', used, now, member)
  end
  call('HSET', writers, member, token .. ' ' .. string.format('%.0f', now))
end
local reply = {call('HLEN', writers), bytes, entries, old, old_end}
if bytes > most_bytes or entries > most_entries then
  list(reply, count_to_go(count, bytes, entries, most_bytes, most_entries), now)
end
return reply
"""
)

# Run commands for names in one slot in one step
RUN = Script(ARGUMENTS + 'run_commands()')
