"""Tries what the tables of `docs/comparison.md` say of a package, and prints it as JSON

    python probes.py PACKAGE TABLE

PACKAGE is a key of `PACKAGES` or `RECORDERS`, TABLE one of `own`, `standard`, `any` and `recording`. Output: the cell
of each row, by the first cell of the row.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from by_mode import OWN, STANDARD
from by_store import ANY
from packages import UnsupportedError
from probe import Probe
from recorders import RECORDERS, RECORDING

TABLES: dict[str, Mapping[str, Callable[[Any], bool | str]]] = {
    'own': OWN, 'standard': STANDARD, 'any': ANY, 'recording': RECORDING,
}  # fmt: skip


def main() -> None:
    package, table = sys.argv[1:]
    os.umask(0o022)
    if table == 'recording':
        subject: Any = RECORDERS[package]()
    else:
        subject = Probe(package, 'own' if table == 'any' else table)
    cells = {}
    for row, try_it in TABLES[table].items():
        try:
            result = try_it(subject)
        except UnsupportedError:
            result = False
        cells[row] = result if isinstance(result, str) else 'yes' if result else 'no'
    print(json.dumps(cells))


if __name__ == '__main__':
    main()
