"""Reading an entry from JSON without building what nobody needs

As it is written here, an entry begins with the body in base64 and ends with its readable copy, each on a line of the
first level. Both may be large: the first need not go through the parser, and the second is for readers of the file
only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._utils import decode_text
from .checksum import RecordStage

# Beginning of the body, and of the readable copy; what ends a text; what escapes; the end of an entry
_MARKS = ('{\n  "_content": "', ',\n  "_decoded_content": ', '"', '\\', '\n}')
_MARKS_IN: dict[type, tuple[Any, ...]] = {str: _MARKS, bytes: tuple(mark.encode() for mark in _MARKS)}
# What stands between the two in an entry that was written here
_ALWAYS_THERE = ('checksum', 'created_at', 'status_code')


class JsonTextStage(RecordStage):
    """The stage between records and JSON"""

    takes_buffers = True


def load_entry(text: Any, loads: Callable[[Any], Any]) -> Any:
    """Parse an entry; anything that is not as it is written here goes to the parser as it is

    Args:
        text: The text of an entry, or whatever else a file held; bytes if all stages take buffers
        loads: Parser for JSON

    Returns:
        The entry; if bytes were given, its body in base64 is a view of them, which spares a copy
    """
    if type(text) in _MARKS_IN and (entry := _load_quickly(text, loads, *_MARKS_IN[type(text)])):
        return entry
    return loads(decode_text(text) if isinstance(text, bytes) else text)


def _load_quickly(
    text: Any, loads: Callable[[Any], Any], body: Any, readable_copy: Any, quote: Any, escape: Any, closing: Any
) -> Any:
    if not text.startswith(body):
        return None
    start = len(body)
    end = text.find(quote, start)
    if end < 0 or text.find(escape, start, end) >= 0:
        return None
    copy = text.rfind(readable_copy, end)
    try:
        entry = loads(body + (text[end:copy] + closing if copy > 0 else text[end:]))
    except ValueError:
        return None
    if not all(name in entry for name in _ALWAYS_THERE):
        return None
    entry['_content'] = (text if isinstance(text, str) else memoryview(text))[start:end]
    return entry
