"""Scripts that read and correct the index of a bounded storage, and measure its entries; see `scripts`"""

from __future__ import annotations

from .scripting import Script
from .scripts import INDEX

# When entries were last used. Arguments: where the next check of entries continues, or an empty string; members
LAST_USED = Script(
    INDEX
    + """
local reply, scan = {}, text()
if scan ~= '' then call('HSET', sizes, ':scan', scan) end
for i = 2, #ARGV do reply[#reply + 1] = call('ZSCORE', used, ARGV[i]) or '' end
return reply
"""
)

# Correct the index. Arguments:
#   now (microseconds)
#   for each entry: member, when it was last used (empty if it is not in the index), size (negative if there is no
#     entry), when it is removed, when it was last used if it is not in the index
# Entries that have been used or written since are not changed. Returns bytes and entries.
CORRECT = Script(
    INDEX
    + """
local now = number()
while position < #ARGV do
  local member, last, size, at, first_use = text(), text(), number(), number(), text()
  if (call('ZSCORE', used, member) or '') == last and not is_being_written(member, now) then
    if size < 0 then
      forget({member}, usage())
      call('HDEL', writers, member)
    else
      account(member, size, at)
      if last == '' then call('ZADD', used, first_use, member) end
    end
  end
end
return {usage()}
"""
)

# Some rows of the index. Arguments:
#   now (microseconds)
#   rank of the first row by last use, or an empty string to continue after the last row of the previous call
#   number of rows
# Returns where the next check of entries continues, bytes, entries, and for each row: member, when it was last used,
# size, when it is removed
SAMPLE = Script(
    INDEX
    + """
local now, rank, count = number(), number(), number()
if is_damaged() then begin(now) end
local reply = {call('HGET', sizes, ':scan') or '', usage()}
if not rank then
  rank = have(':rank')[1]
  if rank >= reply[3] then rank = 0 end
  call('HSET', sizes, ':rank', rank + count)
end
for _, name in ipairs({used, ends, sizes, writers}) do call('EXPIRE', name, lifetime) end
for _, member in ipairs(call('ZRANGE', used, rank, rank + count - 1)) do
  if not is_being_written(member, now) then
    reply[#reply + 1] = member
    reply[#reply + 1] = call('ZSCORE', used, member)
    reply[#reply + 1] = have(member)[1]
    reply[#reply + 1] = tonumber(call('ZSCORE', ends, member) or 0)
  end
end
return reply
"""
)

# Mark the index as complete, unless it was started again meanwhile. Argument: the generation
COMPLETE = Script(
    INDEX
    + """
if call('HGET', sizes, ':generation') == text() then
  call('HSET', sizes, ':complete', 1)
  for _, name in ipairs({used, ends, sizes, writers}) do call('EXPIRE', name, lifetime) end
end
"""
)

# Measure stored entries. Keys: the names of the string and of the hash of each entry
# Returns for each entry: seconds until it is removed, seconds since it was last used, the kind (0 for none, 1 for a
# string, 2 for a hash), and the lengths of its values
MEASURE = Script("""
local function idle_seconds(name)
  local seconds = redis.pcall('OBJECT', 'IDLETIME', name)
  return type(seconds) == 'number' and seconds or 0
end
local reply = {}
for i = 1, #KEYS, 2 do
  local name = KEYS[i]
  local found = {-1, idle_seconds(name), 0}
  local length = redis.pcall('STRLEN', name)
  if length == 0 then
    name = KEYS[i + 1]
    found[2] = idle_seconds(name)
    local fields = redis.pcall('HKEYS', name)
    for j = 1, #fields do found[3 + j] = redis.call('HSTRLEN', name, fields[j]) end
    if #fields > 0 then found[3] = 2 end
  elseif type(length) == 'number' then
    found[3], found[4] = 1, length
  end
  if found[3] > 0 then found[1] = redis.call('TTL', name) end
  reply[#reply + 1] = found
end
return reply
""")
