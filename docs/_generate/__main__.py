"""Generates the parts of the reference pages that come from the code: `python docs/_generate`

A generated part is between `<!-- generated: NAME -->` and `<!-- end -->`. With `--check`, nothing is written: the
differences between the pages and the code are printed, and the exit status is 1 if there are any.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path

import backends
import commands
import errors
import events
import serializers
import settings

REFERENCE = Path(__file__).parents[1] / 'reference'
PART = re.compile(r'(?P<begin><!-- generated: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end -->\n)', re.S)
PARTS: dict[str, dict[str, Callable[[], str]]] = {
    'backends.md': backends.PARTS,
    'command-line.md': commands.PARTS,
    'events.md': events.PARTS,
    'exceptions.md': errors.PARTS,
    'serializers.md': serializers.PARTS,
    'settings.md': settings.PARTS,
}


def filled(text: str, parts: dict[str, Callable[[], str]]) -> str:
    """The text of a page with its parts generated anew

    Raises:
        ValueError: The page does not have each part exactly once
    """
    names = [part['name'] for part in PART.finditer(text)]
    if sorted(names) != sorted(parts):
        raise ValueError(f'the page has the parts {names}, but should have {sorted(parts)}')
    return PART.sub(lambda part: f'{part["begin"]}\n{parts[part["name"]]().strip()}\n\n{part["end"]}', text)


def main(check: bool) -> int:
    status = 0
    for name, parts in PARTS.items():
        page = REFERENCE / name
        before = page.read_text('utf-8')
        after = filled(before, parts)
        if before == after:
            continue
        if check:
            status = 1
            lines = unified_diff(before.splitlines(), after.splitlines(), f'docs/reference/{name}', 'the code', n=1)
            print('\n'.join(lines))
        else:
            page.write_text(after, 'utf-8')
            print(f'Wrote docs/reference/{name}')
    if status:
        print('\nThe reference is out of date. Run: python docs/_generate')
    return status


if __name__ == '__main__':
    sys.exit(main('--check' in sys.argv[1:]))
