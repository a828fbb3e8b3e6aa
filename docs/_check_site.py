"""Checks the built site: what others can link to, by the inventory of Sphinx

python docs/_check_site.py docs/_build
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from sphinx.util.inventory import InventoryFile

import requests_cache


def undocumented(site: Path) -> list[str]:
    """Public classes and functions that the API reference does not describe"""
    inventory = InventoryFile.loads((site / 'objects.inv').read_bytes(), uri='')
    described = {name for kind, names in inventory.data.items() if kind.startswith('py:') for name in names}
    public = {name: getattr(requests_cache, name) for name in requests_cache.__all__}
    wanted = [name for name, value in public.items() if inspect.isclass(value) or inspect.isfunction(value)]
    return [name for name in wanted if f'requests_cache.{name}' not in described]


if __name__ == '__main__':
    missing = undocumented(Path(sys.argv[1]))
    sys.exit(f'not in docs/reference/api.md: {", ".join(missing)}' if missing else 0)
