"""Reading an entry from JSON without building what nobody needs

As it is written here, an entry begins with the body in base64 and ends with its readable copy, each on a line of the
first level. Both may be large: the first need not go through the parser, and the second is for readers of the file
only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_BODY = '{\n  "_content": "'
_READABLE_COPY = ',\n  "_decoded_content": '
# What stands between the two in an entry that was written here
_ALWAYS_THERE = ('checksum', 'created_at', 'status_code')


def load_entry(text: Any, loads: Callable[[Any], Any]) -> Any:
    """Parse an entry; anything that is not as it is written here goes to the parser as it is

    Args:
        text: The text of an entry, or whatever else a file held
        loads: Parser for JSON
    """
    if isinstance(text, str) and text.startswith(_BODY):
        end = text.find('"', len(_BODY))
        body, copy = text[len(_BODY) : end], text.rfind(_READABLE_COPY, end)
        if '\\' not in body and end > 0:
            try:
                entry = loads(_BODY + (f'{text[end:copy]}\n}}' if copy > 0 else text[end:]))
            except ValueError:
                entry = {}
            if all(name in entry for name in _ALWAYS_THERE):
                entry['_content'] = body
                return entry
    return loads(text)
