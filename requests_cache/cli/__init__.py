"""The command line; what it needs beyond the package is imported when it is run"""

from __future__ import annotations

import sys
from importlib.util import find_spec

LIBRARIES = ('click', 'rich')


def main() -> None:
    """Run the command that the arguments of this process name, and end the process"""
    missing = next((name for name in LIBRARIES if not _is_there(name)), None)
    if missing is not None:
        sys.stderr.write(
            f'requests-cache: the command line needs the library {missing!r}; install it with: '
            "pip install 'requests-cache[cli]'\n"
        )
        sys.exit(2)
    from .app import run

    sys.exit(run(sys.argv[1:]))


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # what `sys.modules` holds is no module
        return False
