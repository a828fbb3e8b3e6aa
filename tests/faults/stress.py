"""How hard the tests of this directory try

With `REQUESTS_CACHE_STRESS=10`, what is tried many times is tried ten times as often. Without it, all of them together
take a few minutes.
"""

from __future__ import annotations

import os

STRESS = int(os.environ.get('REQUESTS_CACHE_STRESS', '1'))

# Rounds of killing a writer
ROUNDS = 20 * STRESS
# Bits flipped in each entry
FLIPS = 15 * STRESS
# Rounds of each property test
EXAMPLES = 40 * STRESS
