"""A hit costs little more than preparing its request: counts, which are the same on a busy machine

A test that fails here says how to look. If what was added is worth its cost, raise the limit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name('hit_profile.py')
# Beyond `Session.prepare_request()`: calls of functions and instructions, as of the interpreter that needs most
LIMITS = {
    'memory': (200, 2100),
    'sqlite': (235, 2480),
    'filesystem': (365, 3900),
    'strict': (355, 3650),
}
# What is beyond preparing, as a multiple of preparing. From Python 3.12 on, preparing takes a third fewer instructions,
# as `requests` checks types by protocols, which was slow before.
if sys.version_info < (3, 12):
    TIMES_FLOOR = {'memory': 0.36, 'sqlite': 0.42, 'filesystem': 0.65, 'strict': 0.6}
    STRICT_TIMES_DEFAULT = 1.15
else:
    TIMES_FLOOR = {'memory': 0.52, 'sqlite': 0.6, 'filesystem': 0.98, 'strict': 0.88}
    STRICT_TIMES_DEFAULT = 1.19


@pytest.fixture(scope='module')
def counted() -> dict[str, dict[str, int]]:
    # In a process of its own: profilers, debuggers and what other tests have loaded would be counted, too
    environment = {name: value for name, value in os.environ.items() if not name.startswith(('PYTHONDEV', 'COV_'))}
    done = subprocess.run([sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts: dict[str, dict[str, int]] = json.loads(done.stdout)
    return counts


@pytest.mark.parametrize('case', LIMITS)
def test_hit(case: str, counted: dict[str, dict[str, int]]) -> None:
    hit, floor = counted[case], counted['floor']
    calls, instructions = hit['calls'] - floor['calls'], hit['instructions'] - floor['instructions']
    most_calls, most_instructions = LIMITS[case]
    how_to_look = f'see which: python {SCRIPT.relative_to(Path(__file__).parents[2])} {case}'
    assert calls <= most_calls, f'a hit calls {calls} functions beyond preparing the request; {how_to_look}'
    assert instructions <= most_instructions, f'a hit executes {instructions} instructions beyond it; {how_to_look}'
    assert instructions <= TIMES_FLOOR[case] * floor['instructions'], how_to_look


def test_standard_costs_little_more(counted: dict[str, dict[str, int]]) -> None:
    assert counted['strict']['instructions'] <= STRICT_TIMES_DEFAULT * counted['sqlite']['instructions']


@pytest.mark.parametrize('case', ['memory', 'sqlite', 'filesystem'])
def test_bounds_cost_little(case: str, counted: dict[str, dict[str, int]]) -> None:
    """At most one in twenty instructions more, even if those that prepare the request are left out"""
    bounded, unbounded = (counted[each]['instructions'] for each in (f'{case} bounded', case))
    floor = counted['floor']['instructions']
    assert unbounded < bounded, 'the entries were not bounded'
    how_to_look = f"compare: python {SCRIPT.relative_to(Path(__file__).parents[2])} '{case} bounded'"
    assert bounded - floor <= 1.05 * (unbounded - floor), how_to_look
