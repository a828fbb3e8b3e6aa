"""What the page about events shows as output is what is put out, but for what differs from run to run"""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from docs.test_snippets import ROOT, sessions_closed, snippets, the_web  # noqa: F401 - a fixture

PAGE = ROOT / 'docs' / 'events.md'
TEXT = re.compile(r'^```text\n(.*?)^```$', re.M | re.S)
VARYING = re.compile(
    r'(?<=took )[\d.]+(?= ms)|(?<=key )[0-9a-f]{16}|(?<=until )[-\d]+ [\d:]+|(?<=fresh for )\d+|(?<=saved:  )[\d.]+'
)


def same_for_all(text: str) -> list[str]:
    return VARYING.sub('…', text).strip().splitlines()


@pytest.mark.usefixtures('the_web')
def test_the_output_of_the_examples(caplog: pytest.LogCaptureFixture) -> None:
    names: dict[str, Any] = {}
    shown = TEXT.findall(PAGE.read_text('utf-8'))
    first, second, *_ = snippets(PAGE)
    with sessions_closed(names):
        exec(first.code, names)
        assert same_for_all(str(names['session'].stats)) == same_for_all(shown[0])
        caplog.clear()
        exec(second.code, names)
        logging.getLogger('requests_cache').setLevel(logging.NOTSET)
    records = [record for record in caplog.records if record.name.startswith('requests_cache')]
    lines = '\n'.join(f'{record.levelname} {record.name}: {record.getMessage()}' for record in records)
    assert same_for_all(lines) == same_for_all(shown[1])
