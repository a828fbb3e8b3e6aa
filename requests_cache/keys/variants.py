"""Keys of variants and of partial responses, which are derived from the key of a request

<key>                              a response, or a variant whose header fields are part of the key
<key>-<names>                      a variant of a request without these header fields
<key>-<names>-<generation>         a variant that was stored with cache_control='strict'
<key>-<generation>                 a variant that was stored in another mode while such variants exist
<one of these>-parts               the index of the stored parts of a response
<one of these>-part-<generation>-<first>-<last>     one of these parts
"""

from __future__ import annotations

from collections.abc import Iterable

from .._utils import lazy_pattern

_OF_PART = lazy_pattern(r'(.+)(-parts|-part-[0-9a-f]*-[0-9]+-[0-9]+)')
_GENERATION = lazy_pattern(r'-[0-9a-f]{8}')


def matched_names(names: Iterable[str], match_headers: Iterable[str] | bool | None) -> list[str] | bool:
    """Names of the header fields that are part of the key of a variant

    Args:
        names: Names from `Vary`
        match_headers: Names from the settings; True for all
    """
    if match_headers is True:
        return True
    return sorted({*names, *(name.lower() for name in match_headers or ())})


def variant_key(key: str, names: Iterable[str] = (), generation: str = '') -> str:
    """The key of a variant

    Args:
        key: The key of the request, including the values of the header fields that `Vary` names
        names: Names of these fields, if they are to be part of the key too
        generation: Name that all variants of the resource share, if any
    """
    return '-'.join((key, *sorted(names), *filter(None, (generation,))))


def split_part_key(key: str) -> tuple[str, str]:
    """Split the key of an index or a part into the key of the response and a suffix, which is '' for other keys"""
    match = _OF_PART.fullmatch(key)
    return (match[1], match[2]) if match else (key, '')


def is_variant_suffix(suffix: str, names: Iterable[str]) -> bool:
    """Whether a text is a suffix that `variant_key` may add to the key of a request for these header fields"""
    suffix = suffix.removeprefix(variant_key('', names))
    return not suffix or _GENERATION.fullmatch(suffix) is not None


def standard_variant_suffix(key: str, names: Iterable[str]) -> str:
    """The suffix of a key of a variant that was stored with cache_control='strict'; '' for other keys"""
    in_key = variant_key('', names)
    suffix = in_key + key[-9:]
    return suffix if in_key and _GENERATION.fullmatch(key[-9:]) and key.endswith(suffix) else ''


def belongs_to_generation(key: str, generations: Iterable[str]) -> bool:
    """Whether a key is that of a variant of one of these generations, or of one of its parts"""
    return split_part_key(key)[0].rpartition('-')[2] in generations
