"""The command line, which imports its own libraries only when it is run"""

from __future__ import annotations

import sys
from importlib.util import find_spec

LIBRARIES = ('click', 'rich')


def main() -> None:
    """Run the command given by the arguments of this process, and exit with its status"""
    missing = next((name for name in LIBRARIES if not _is_installed(name)), None)
    if missing is not None:
        sys.stderr.write(
            f'requests-cache: the command line needs the library {missing!r}; install it with: '
            "pip install 'requests-cache[cli]'\n"
        )
        sys.exit(2)
    from .app import run

    sys.exit(run(sys.argv[1:]))


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # `sys.modules` holds something else than a module
        return False
