"""Header fields by which responses are selected, in a spelling that all with the same meaning share

RFC 9111, section 4.1, allows to take out white space, and to normalise what the definition of a field calls the same:
in the fields for content negotiation (RFC 9110, section 12.5) the order of members does not count, nor case, nor a
weight of 1. Of other fields nothing is known but that commas may have white space around them.
"""

from __future__ import annotations

from typing import Any

from ..._utils import lazy_pattern

_NEGOTIATION = frozenset(('accept', 'accept-charset', 'accept-encoding', 'accept-language'))
_WHITE_SPACE = ' \t'
# Text up to a separator outside of quotes; quotes that are not closed are like other text
_MEMBER = lazy_pattern(r'(?:"(?:[^"\\]|\\.)*"|[^,])+|(?<=,)(?=,|$)')
_PARAMETER = lazy_pattern(r'(?:"(?:[^"\\]|\\.)*"|[^;])+')
_WEIGHT = lazy_pattern(r'[qQ][ \t]*=[ \t]*([01](?:\.[0-9]{0,3})?)')


def normalize_selecting_field(name: str, value: Any) -> str:
    """One spelling of a request header field

    Args:
        name: Its name in lower case
        value: Its value, with that of several lines joined by commas
    """
    text = value.decode('latin-1') if isinstance(value, bytes) else str(value)
    members = [member.strip(_WHITE_SPACE) for member in _MEMBER.findall(text)]
    if name in _NEGOTIATION:
        members = sorted(filter(None, map(_normalize_range, members)))
    return ','.join(members)


def _normalize_range(member: str) -> str:
    """A media range, language range, coding or charset with its parameters"""
    parts = [part.strip(_WHITE_SPACE) for part in _PARAMETER.findall(member)]
    kept = [_normalize_weight(parameter) for parameter in parts[1:]]
    return ';'.join([*(part.lower() for part in parts[:1]), *filter(None, kept)])


def _normalize_weight(parameter: str) -> str:
    match = _WEIGHT.fullmatch(parameter)
    if match is None:
        return parameter
    weight = float(match[1])
    return '' if weight == 1 else f'q={weight:g}'
