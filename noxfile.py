"""Checks, each in its own virtual environment with the built wheel installed

`nox` runs the usual checks. `nox -s tests-3.12 -- -k sqlite` runs some of the tests on one interpreter. Missing
interpreters are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import nox

PYTHONS = ['3.10', '3.11', '3.12', '3.13']
PUBLISHED = ('requests-cache[all]==1.3.3', 'url-normalize==3.0.0', 'time-machine')
OLD = ('requests==2.28.2', 'urllib3<2', 'attrs==22.2.0', 'cattrs==22.2.0', 'url-normalize<2')
MOVING = {  # the keys are the names in `tests/docs/test_moving.py`; `.` is this package, for snippets that use both
    'requests-cache-1.3.3': PUBLISHED,
    'requests-cache-1.0.1': ('requests-cache==1.0.1', *OLD),
    'requests-cache-0.9.8': ('requests-cache==0.9.8', *OLD),
    'CacheControl': ('CacheControl[filecache]==0.14.4', '.'),
    'hishel-2': ('hishel[requests,httpx]==2.0.0', '.'),
    'hishel-1': ('hishel[requests,httpx]==1.4.0',),
    'hishel-0.1': ('hishel==0.1.5',),
    'VCR.py': ('vcrpy==9.4.2', '.'),
    'betamax': ('betamax==0.9.0', '.'),
}
# The lower bounds in pyproject.toml, on the oldest interpreter; of orjson, the first that has a wheel for it
OLDEST = (
    'requests==2.28.0', 'urllib3==1.26.5', 'attrs==22.2.0', 'platformdirs==2.5.0', 'idna==2.5',
    'boto3==1.20.0', 'botocore==1.23.0', 'pymongo==4.0', 'redis==4.3.1',
    'cattrs==22.2.0', 'click==8.1.0', 'cryptography==39.0.0', 'itsdangerous==2.0.0', 'opentelemetry-api==1.30.0',
    'opentelemetry-sdk==1.30.0', 'orjson==3.6.0', 'prometheus-client==0.14.0', 'pyyaml==6.0.1', 'rich==12.0.0',
    'structlog==22.1.0', 'ujson==5.4.0', 'backports.zstd==1.0.0',
)  # fmt: skip
PYENV_VERSIONS = Path(os.environ.get('PYENV_ROOT', Path.home() / '.pyenv')) / 'versions'

nox.needs_version = '>=2024.3.2'
nox.options.default_venv_backend = 'virtualenv'
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ['lint', 'types', 'tests', 'docs']

if PYENV_VERSIONS.is_dir():
    # Without this, pyenv answers only for the versions that happen to be activated.
    os.environ['PYENV_VERSION'] = ':'.join(sorted(p.name for p in PYENV_VERSIONS.iterdir()))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting, and find likely bugs"""
    session.install('.[lint]')
    session.run('ruff', 'check', '.')
    session.run('ruff', 'format', '--check', '.')


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the package and of its typical uses, for each operating system"""
    session.install('.[all,lint,testing]')
    for platform in ('linux', 'darwin', 'win32'):
        session.run('mypy', '--platform', platform)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all tests, with branch coverage"""
    session.install('.[test]')
    env = {'COVERAGE_FILE': str(Path(session.create_tmp(), 'coverage').resolve()), 'PYTHONDEVMODE': '1'}
    parallel = ['-n', 'auto', '--dist', 'worksteal', '--cov', '--cov-report=term']
    session.run('pytest', *parallel, *session.posargs, env=env)


@nox.session
def docs(session: nox.Session) -> None:
    """Run the snippets and examples of the documentation, and check its links"""
    session.install('.[docs]')
    session.run('pytest', 'tests/docs', *session.posargs)


@nox.session
def site(session: nox.Session) -> None:
    """Build the documentation site in `docs/_build`; warnings and dead links are errors"""
    session.install('.[site]')
    session.run('sphinx-build', '-W', '--keep-going', '-b', 'html', 'docs', 'docs/_build', *session.posargs)
    session.run('python', 'docs/_check_site.py', 'docs/_build')


@nox.session(python=PYTHONS[0])
def oldest(session: nox.Session) -> None:
    """Run the tests that need no server, with the oldest versions of all dependencies"""
    session.install('.[test]')
    session.install(*OLDEST)
    paths = session.posargs or [
        'tests/unit',
        'tests/integration',
        'tests/contract/test_sqlite.py',
        'tests/contract/test_memory.py',
    ]
    # Old drivers have no types, and old libraries import a little more
    without = ('redis', 'mongo', 'dynamo', 'gridfs', 'test_quality', 'importing_loads_only')
    # Before version 2, urllib3 does not close connections of sessions that nobody closes
    ignored = 'ignore:unclosed <socket:ResourceWarning'
    session.run('pytest', *paths, '-W', ignored, '-k', ' and '.join(f'not {name}' for name in without))


@nox.session
def differential(session: nox.Session) -> None:
    """Compare this package with the published one, request by request"""
    session.install('.[test]')
    python = _environment(session, Path(session.create_tmp(), 'published'), PUBLISHED)
    session.run('pytest', '-m', 'differential', *session.posargs, env={'REQUESTS_CACHE_ORACLE': python})


@nox.session(python='3.11')  # the oldest version that VCR.py supports
def moving(session: nox.Session) -> None:
    """Test what the migration guides and the comparison say, with the real packages"""
    session.install('.[test]')
    place = Path(session.create_tmp()).resolve()
    for name, requirements in MOVING.items():
        _environment(session, place / name, requirements)
    session.run('pytest', '-m', 'moving', 'tests/docs', *session.posargs, env={'REQUESTS_CACHE_MOVING': str(place)})


def _environment(session: nox.Session, place: Path, requirements: Sequence[str]) -> str:
    """Make or update another virtual environment, and return the path of its interpreter"""
    session.run('python', '-m', 'venv', str(place.resolve()))
    python = str(place.resolve() / ('Scripts' if os.name == 'nt' else 'bin') / 'python')
    session.run(python, '-m', 'pip', 'install', '-q', *requirements, external=True)
    return python


@nox.session
def stress(session: nox.Session) -> None:
    """Run the tests about faults with ten times the work, or as many times as `REQUESTS_CACHE_STRESS` says"""
    session.install('.[test]')
    times = os.environ.get('REQUESTS_CACHE_STRESS', '10')
    session.run('pytest', 'tests/faults', '--timeout=3600', *session.posargs, env={'REQUESTS_CACHE_STRESS': times})


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure this package and its peers, in environments that the script makes; `-- --help` lists options"""
    session.run('python', 'benchmarks/run.py', *session.posargs)
