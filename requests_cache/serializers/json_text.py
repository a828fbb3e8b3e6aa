"""Reading an entry from JSON without parsing its body

An entry written by this package starts with the body in base64 and ends with the readable copy of it, each on a line of
the first level. Both may be large. The body does not need to be parsed, and the readable copy is not needed at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._utils import decode_text
from .checksum import RecordStage

# The start of the body and of the readable copy; the end of a string; the escape character; the end of an entry
_MARKS = ('{\n  "_content": "', ',\n  "_decoded_content": ', '"', '\\', '\n}')
_MARKS_IN: dict[type, tuple[Any, ...]] = {str: _MARKS, bytes: tuple(mark.encode() for mark in _MARKS)}
# Fields between the body and the readable copy in every entry written by this package
_ALWAYS_THERE = ('checksum', 'created_at', 'status_code')


class JsonTextStage(RecordStage):
    """The stage that converts records to JSON"""

    takes_buffers = True


def load_entry(text: Any, loads: Callable[[Any], Any]) -> Any:
    """Parse an entry; text in any other form than this package writes is passed to the parser unchanged

    Args:
        text: The text of an entry, or any other content of a file; bytes if all stages accept buffers
        loads: Parser for JSON

    Returns:
        The entry; if `text` is bytes, the body in base64 is a memoryview, which avoids copying it
    """
    if type(text) in _MARKS_IN and (entry := _load_fast(text, loads, *_MARKS_IN[type(text)])):
        return entry
    return loads(decode_text(text) if isinstance(text, bytes) else text)


def _load_fast(
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
