"""Normalising the header fields that `Vary` names, so that values with the same meaning are equal

RFC 9111, section 4.1, allows removing white space, and normalising values that have the same meaning. In the fields for
content negotiation (RFC 9110, section 12.5), the order of members, case, and a weight of 1 have no meaning. In other
fields, only white space around commas has none.
"""

from __future__ import annotations

from typing import Any

from ..._utils import lazy_pattern

_NEGOTIATION = frozenset(('accept', 'accept-charset', 'accept-encoding', 'accept-language'))
_WHITE_SPACE = ' \t'
# Text up to a separator outside quotes; an unclosed quote is ordinary text
_MEMBER = lazy_pattern(r'(?:"(?:[^"\\]|\\.)*"|[^,])+|(?<=,)(?=,|$)')
_PARAMETER = lazy_pattern(r'(?:"(?:[^"\\]|\\.)*"|[^;])+')
_WEIGHT = lazy_pattern(r'[qQ][ \t]*=[ \t]*([01](?:\.[0-9]{0,3})?)')


def normalize_selecting_field(name: str, value: Any) -> str:
    """Normalise the value of a request header field

    Args:
        name: Name of the field in lower case
        value: Value of the field; several lines are joined by commas
    """
    text = value.decode('latin-1') if isinstance(value, bytes) else str(value)
    members = [member.strip(_WHITE_SPACE) for member in _MEMBER.findall(text)]
    if name in _NEGOTIATION:
        members = sorted(filter(None, map(_normalize_range, members)))
    return ','.join(members)


def _normalize_range(member: str) -> str:
    """Normalise a media range, language range, coding or charset with its parameters"""
    parts = [part.strip(_WHITE_SPACE) for part in _PARAMETER.findall(member)]
    kept = [_normalize_weight(parameter) for parameter in parts[1:]]
    return ';'.join([*(part.lower() for part in parts[:1]), *filter(None, kept)])


def _normalize_weight(parameter: str) -> str:
    match = _WEIGHT.fullmatch(parameter)
    if match is None:
        return parameter
    weight = float(match[1])
    return '' if weight == 1 else f'q={weight:g}'
