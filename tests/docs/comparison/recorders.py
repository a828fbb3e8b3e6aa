"""Rows about recording and replaying, and the packages that can do it"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import urllib3
from probe import ORIGIN
from server import Answer


class _Recorder:
    """Records and replays under names"""

    @contextmanager
    def recording(self, name: str) -> Iterator[requests.Session]:
        raise NotImplementedError

    @contextmanager
    def replaying(self, name: str) -> Iterator[requests.Session]:
        """A session that is answered from what was recorded under that name"""
        raise NotImplementedError


class OfRequestsCache(_Recorder):
    @contextmanager
    def recording(self, name: str) -> Iterator[requests.Session]:
        import requests_cache

        with requests_cache.enabled(name, backend='filesystem', allowable_methods=['GET', 'POST']):
            yield requests.Session()

    @contextmanager
    def replaying(self, name: str) -> Iterator[requests.Session]:
        import requests_cache

        options: dict[str, Any] = {'allowable_methods': ['GET', 'POST'], 'only_if_cached': True}
        with requests_cache.enabled(name, backend='filesystem', **options):
            yield requests.Session()


class OfVCR(_Recorder):
    @contextmanager
    def recording(self, name: str) -> Iterator[requests.Session]:
        import vcr

        with vcr.use_cassette(f'{name}/cassette.yaml'):
            yield requests.Session()

    @contextmanager
    def replaying(self, name: str) -> Iterator[requests.Session]:
        import vcr

        with vcr.use_cassette(f'{name}/cassette.yaml', record_mode='none'):
            yield requests.Session()


class OfBetamax(_Recorder):
    @contextmanager
    def recording(self, name: str, mode: str = 'once') -> Iterator[requests.Session]:
        import betamax

        Path(name).mkdir(exist_ok=True)
        session = requests.Session()
        with betamax.Betamax(session, cassette_library_dir=name).use_cassette('cassette', record=mode):
            yield session

    @contextmanager
    def replaying(self, name: str) -> Iterator[requests.Session]:
        with self.recording(name, 'none') as session:
            yield session


RECORDERS: dict[str, Callable[[], _Recorder]] = {
    'requests-cache': OfRequestsCache,
    'VCR.py': OfVCR,
    'betamax': OfBetamax,
}


def _numbered(path: str) -> str:
    """A page with another number each time, and the body of the request"""

    def page(request: Any) -> Answer:
        return 200, [], str(ORIGIN.counts.get(path, 0)).encode()

    return ORIGIN.program(path, page)


def replays(recorder: _Recorder) -> bool:
    url = _numbered('/replays')
    with recorder.recording('replays') as session:
        session.get(url)
    with recorder.replaying('replays') as session:
        return session.get(url).text == '1' and ORIGIN.counts.get('/replays', 0) == 1


def sequence(recorder: _Recorder) -> bool:
    url = _numbered('/sequence')
    with recorder.recording('sequence') as session:
        recorded = [session.get(url).text for _ in range(2)]
    with recorder.replaying('sequence') as session:
        return [session.get(url).text for _ in range(2)] == recorded == ['1', '2']


def any_number_of_times(recorder: _Recorder) -> bool:
    url = _numbered('/again')
    with recorder.recording('again') as session:
        session.get(url)
    try:
        with recorder.replaying('again') as session:
            return [session.get(url).text for _ in range(3)] == ['1'] * 3
    except Exception:
        return False


def fails_if_not_recorded(recorder: _Recorder) -> bool:
    with recorder.recording('missing') as session:
        session.get(_numbered('/recorded'))
    url = _numbered('/missing')
    try:
        with recorder.replaying('missing') as session:
            session.get(url)
    except Exception:
        return ORIGIN.counts.get('/missing', 0) == 0
    return False


def by_body(recorder: _Recorder) -> bool:
    def page(request: Any) -> Answer:
        return 200, [], f'{request.headers["Content-Length"]} bytes'.encode()

    url = ORIGIN.program('/body', page)
    bodies = ['a', 'long']
    with recorder.recording('body') as session:
        recorded = [session.post(url, data=body).text for body in bodies]
    with recorder.replaying('body') as session:
        return [session.post(url, data=body).text for body in reversed(bodies)] == recorded[::-1]


def no_credentials(recorder: _Recorder) -> bool:
    with recorder.recording('secrets') as session:
        session.get(_numbered('/secrets') + '?api_key=secret', headers={'Authorization': 'Bearer secret'})
    stored = b''.join(path.read_bytes() for path in Path('secrets').rglob('*') if path.is_file())
    assert stored
    return b'secret\n' not in stored and b'Bearer secret' not in stored and b'api_key=secret' not in stored


def other_clients(recorder: _Recorder) -> bool:
    url = _numbered('/others')
    for how in (recorder.recording, recorder.replaying):
        with how('others'), urllib3.PoolManager() as pool:
            pool.request('GET', url)
    return ORIGIN.counts.get('/others', 0) == 1


RECORDING: dict[str, Callable[[_Recorder], bool | str]] = {
    'Replays without the network': replays,
    'Replays a sequence of answers to one request': sequence,
    'Uses a recording any number of times, by default': any_number_of_times,
    'Raises an exception if something was not recorded': fails_if_not_recorded,
    'Tells requests apart by their body, by default': by_body,
    'Leaves credentials out, by default': no_credentials,
    'Records other clients, such as urllib3': other_clients,
}
