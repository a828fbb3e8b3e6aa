"""Reasons for not storing a response that do not depend on its headers (for those, see `policy/decision.py`)"""

from __future__ import annotations

# The caller's
BY_FILTER = 'filter_fn'
BY_HOOK = 'read by a hook'
IN_TWO_WAYS = 'read in two ways'
UNREAD = 'not read to its end'
LONGER_THAN_ALLOWED = 'max_body_bytes'
# The origin's
INCOMPLETE = 'incomplete'
UNDECODABLE = 'content coding'
UNFITTING = 'a part that fits nothing stored'
# The store's
TOO_LARGE = 'larger than the bound of the cache'
CHANGED = 'changed meanwhile'
LOCKED = 'encrypted with another key'
FAULT = 'the store failed'
ABANDONED = 'the cache was closed'
