"""How the keys of variants and parts of a response are made from the key of a request

<key>                              a response, or a variant whose header fields are part of the key
<key>-<names>                      a variant of a request without these header fields
<key>-<names>-<generation>         a variant by the standard
<key>-<generation>                 a variant by other rules, beside those by the standard
<one of these>-parts               the index of the parts that are stored of it
<one of these>-part-<generation>-<first>-<last>     one of these parts
"""

from __future__ import annotations

from collections.abc import Iterable

from .._utils import lazy_pattern

_OF_PART = lazy_pattern(r'(.+)(-parts|-part-[0-9a-f]*-[0-9]+-[0-9]+)')
_GENERATION = lazy_pattern(r'-[0-9a-f]{8}')


def matched_names(names: Iterable[str], match_headers: Iterable[str] | bool | None) -> list[str] | bool:
    """Names of the header fields that count in the key of a variant

    Args:
        names: Those that tell the variants apart
        match_headers: Those that the settings name; True for all
    """
    if match_headers is True:
        return True
    return sorted({*names, *(name.lower() for name in match_headers or ())})


def variant_key(key: str, names: Iterable[str] = (), generation: str = '') -> str:
    """The key of a variant

    Args:
        key: The key of the request with the values of the header fields that tell the variants apart
        names: Names of these fields, if they are to stand in the key too
        generation: Name that the variants of the resource share, if they do
    """
    return '-'.join((key, *sorted(names), *filter(None, (generation,))))


def split_part_key(key: str) -> tuple[str, str]:
    """The key of a response, and what makes it the key of its index or of one of its parts; '' for other keys"""
    match = _OF_PART.fullmatch(key)
    return (match[1], match[2]) if match else (key, '')


def is_variant_suffix(suffix: str, names: Iterable[str]) -> bool:
    """Whether a text can follow the key of a request in that of a variant by these header fields"""
    suffix = suffix.removeprefix(variant_key('', names))
    return not suffix or _GENERATION.fullmatch(suffix) is not None


def suffix_by_the_standard(key: str, names: Iterable[str]) -> str:
    """What makes a key that of a variant by the standard, by these header fields; '' for other keys"""
    in_key = variant_key('', names)
    suffix = in_key + key[-9:]
    return suffix if in_key and _GENERATION.fullmatch(key[-9:]) and key.endswith(suffix) else ''


def is_of_generation(key: str, generations: Iterable[str]) -> bool:
    """Whether a key is that of a variant of one of these generations, or of its parts"""
    return split_part_key(key)[0].rpartition('-')[2] in generations
