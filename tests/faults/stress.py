"""How hard the tests of this directory try

With `REQUESTS_CACHE_STRESS=10` (`nox -s stress`), what is done many times is done at least ten times as often, and
tests marked `repeated` run ten times, as threads never meet twice in the same way. Without it, all of them together
take a minute or two.
"""

from __future__ import annotations

import os

STRESS = max(1, int(os.environ.get('REQUESTS_CACHE_STRESS') or 1))

# At work at a time
THREADS, PROCESSES = (32, 6) if STRESS == 1 else (64, 16)
# What each thread asks for, and asks for again
PAGES = 3 if STRESS == 1 else 6
# Of killing a writer
ROUNDS = 12 if STRESS == 1 else 20 * STRESS
# Bits in each entry
FLIPS = 5 if STRESS == 1 else 15 * STRESS
# Of each property test
EXAMPLES = 20 if STRESS == 1 else 40 * STRESS
