"""Checks the built site: others can link to all public names, by the inventory that Sphinx writes

python docs/_check_site.py docs/_build
"""

from __future__ import annotations

import inspect
import sys
import zlib
from pathlib import Path

import requests_cache

HEADER_LINES = 4


def described(site: Path) -> set[str]:
    """Names of what the site describes"""
    *_, compressed = (site / 'objects.inv').read_bytes().split(b'\n', HEADER_LINES)
    return {line.split(' ', 1)[0] for line in zlib.decompress(compressed).decode().splitlines()}


def undescribed(site: Path) -> list[str]:
    """Public classes and functions that the API reference does not describe"""
    names = described(site)
    public = {name: getattr(requests_cache, name) for name in requests_cache.__all__}
    wanted = [name for name, value in public.items() if inspect.isclass(value) or inspect.isfunction(value)]
    return [name for name in wanted if f'requests_cache.{name}' not in names]


if __name__ == '__main__':
    missing = undescribed(Path(sys.argv[1]))
    sys.exit(f'not in docs/reference/api.md: {", ".join(missing)}' if missing else 0)
