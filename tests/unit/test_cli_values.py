"""What options of the command line may say, and how times are shown"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from support.stored import pages

from requests_cache.cli.app import COMMANDS, commands
from requests_cache.cli.listing import ORDERS, Row, list_entries
from requests_cache.cli.selection import Selection
from requests_cache.cli.values import format_duration, format_expiry, parse_duration, parse_size, parse_status

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ('text', 'seconds'),
    [
        ('90', 90),
        ('1.5', 1.5),
        ('90s', 90),
        ('30m', 1800),
        ('12h', 43200),
        ('1d12h', 129600),
        ('1w 1s', 604801),
        ('1y', 31536000),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize('text', ['', 'd', '-1d', '1 fortnight', '1e5', '٣d', '9' * 40 + 'y'])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r'90s, 30m, 12h|too long'):
        parse_duration(text)


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=300_000)))
def test_durations_are_shown_in_a_few_characters_and_rounded_down(duration: timedelta) -> None:
    shown = format_duration(duration)
    unit = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 7 * 86400, 'y': 365 * 86400}[shown[-1]]
    assert 0 <= duration.total_seconds() - int(shown[:-1]) * unit < unit
    assert len(shown) <= 4


@pytest.mark.parametrize(
    ('seconds', 'text'), [(None, 'never'), (3600, 'in 1h'), (-90, '1m ago'), (0, '0s ago'), (10**9, 'in 31y')]
)
def test_expirations_are_shown_from_now(seconds: float | None, text: str) -> None:
    expires = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert format_expiry(expires, NOW) == text


@pytest.mark.parametrize(
    ('text', 'first', 'last'), [('404', 404, 404), ('5xx', 500, 599), ('2XX', 200, 299), ('300-308', 300, 308)]
)
def test_statuses(text: str, first: int, last: int) -> None:
    assert (parse_status(text)[0], parse_status(text)[-1]) == (first, last)


@pytest.mark.parametrize('text', ['', '40', 'xx', '0xx', '4x4', '404-', '٤٠٤'])
def test_what_is_no_status(text: str) -> None:
    with pytest.raises(ValueError, match='404, 4xx or 500-599'):
        parse_status(text)


def test_sizes() -> None:
    assert parse_size('1 MB') == 10**6
    with pytest.raises(ValueError, match='2 MiB'):
        parse_size('much')


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ('', {'items?page=1', 'items?page=2', 'missing', '', 'logo.png', 'video'}),
        ('--host www.example.com', {'', 'logo.png', 'video'}),
        ('--host *.com --host nowhere', {'items?page=1', 'items?page=2', 'missing', '', 'logo.png', 'video'}),
        ('--url api.example.com/items*', {'items?page=1', 'items?page=2'}),
        ('--url https://api.example.com/items', set()),
        ('--url */', {''}),
        ('--status 4xx', {'missing'}),
        ('--content-type image/* --content-type text/html', {'', 'logo.png'}),
        ('--expired', {'items?page=2', 'missing'}),
        ('--fresh --status 200 --larger-than 1kB', {'', 'video'}),
        ('--older-than 7d', {'items?page=2', ''}),
        ('--older-than 7d --expired', {'items?page=2'}),
    ],
)
def test_conditions_choose_entries(options: str, expected: set[str]) -> None:
    params = list_entries.make_context('list', ['cache', *options.split()]).params
    selection = Selection(**{name: params[name] for name in Selection._fields})
    now = datetime.now(timezone.utc)
    taken = {response.url.rpartition('/')[2] for response in pages() if selection.matches(response, now)}
    assert taken == expected
    assert selection.is_empty is (options == '')


@pytest.mark.parametrize(
    ('order', 'first'), [('size', 'missing'), ('age', 'logo.png'), ('expires', 'items?page=2'), ('url', 'items?page=1')]
)
def test_orders_are_ascending(order: str, first: str) -> None:
    rows = [Row.of(str(n), response, NOW) for n, response in enumerate(pages())]
    assert min(rows, key=ORDERS[order]).url.rpartition('/')[2] == first


WRONG = {
    'frobnicate': "No such command 'frobnicate'",
    'list': "Missing argument 'CACHE'",
    'list cache --older-than soon': "'soon' is not a duration",
    'list cache --larger-than big': "'big' is not a size",
    'list cache --sort colour': "'colour' is not one of 'url', 'size', 'age', 'expires', 'key'",
    'list cache --limit -1': "'--limit'",
    'list cache --serializer xml': "'xml' is not one of",
    'list cache --encryption-key-file none': "File 'none' does not exist",
    'show cache': "Missing argument 'KEY-OR-URL'",
    'delete cache': 'Say what to delete',
    'delete cache key --expired': 'Say what to delete',
    'copy cache': "Missing argument 'TARGET'",
}


@pytest.mark.parametrize('line', WRONG)
def test_wrong_usage_is_said_and_ends_with_status_2(line: str) -> None:
    result = CliRunner().invoke(commands, line.split())
    assert result.exit_code == 2
    assert WRONG[line] in result.output


@pytest.mark.parametrize('name', COMMANDS)
def test_each_command_has_help_with_examples(name: str) -> None:
    result = CliRunner().invoke(commands, [name, '--help'])
    assert result.exit_code == 0
    assert f'Usage: requests-cache {name} ' in result.output.replace('commands', 'requests-cache')
    assert f'  requests-cache {name} ' in result.output.partition('Examples:')[2]


def test_the_list_of_commands_says_what_each_one_says_of_itself() -> None:
    result = CliRunner().invoke(commands, ['--help'])
    assert result.exit_code == 0
    listed = result.output.partition('Commands:')[2].partition('Examples:')[0]
    assert [line.split()[0] for line in listed.splitlines() if line.strip()] == list(COMMANDS)
