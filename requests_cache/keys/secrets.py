"""Finding secrets by their names in text: in URLs, forms, JSON and XML

Every function yields the values of secrets as `(start, end, replacement)`, in order and without overlaps, so that the
rest of a text can stay as it is written. Values that are encoded again (a URL as a parameter, JSON in a form, JSON in a
JSON string) are looked into, `MAX_DEPTH` levels deep.

What separates parameters differs between servers, and a value may hold a separator itself. In doubt more is replaced:

- `&` always ends a value
- `;` and `?` begin a parameter as well. A value that comes after one of these ends at the next `;` that begins a
  parameter; a value that comes after `&` goes on to the next `&`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote, unquote, unquote_plus

from .._utils import lazy_pattern
from .bodies import REDACTED
from .urls import split_url

MAX_DEPTH = 4

PATH_PARAMETER = lazy_pattern(r'([;&])([^=;&/]*)=')
PATH_VALUES = {';': lazy_pattern(r'[^;/]+'), '&': lazy_pattern(r'[^&]+')}
PASSWORD = lazy_pattern(r'/[^/\s"@:]*:[^/\s"@]+@')
PIECE = lazy_pattern(r'[^&]+')
LATER_PARAMETER = lazy_pattern(r'[;?]([^=;?]*)=')
NEXT_PARAMETER = lazy_pattern(r';\s*[A-Za-z_][\w.%\[\]-]*=')
URL_START = lazy_pattern(r'\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?\\?/|\s*\?')
BRACKETS = lazy_pattern(r'[\[\]]')
# A string without an end goes on to that of the text; to begin anew at each quote in it would take forever
JSON_STRING = lazy_pattern(r'("(?:[^"\\]|\\.)*(?:"|\\?\Z))(\s*:\s*)?', re.DOTALL)
JSON_TOKEN = lazy_pattern(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
JSON_CHARACTER = lazy_pattern(r'\\u([0-9A-Fa-f]{4})|\\(.)|.', re.DOTALL)
QUERY_CHARACTER = lazy_pattern(r'%([0-9A-Fa-f]{2})|(\+)|.', re.DOTALL)
XML_TOKEN = lazy_pattern(
    r'<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<\?.*?(?:\?>|\Z)|<(/?)([^\s/<>!?="\']+)((?:"[^"]*"|\'[^\']*\'|[^"\'<>])*)>',
    re.DOTALL,
)
XML_ATTRIBUTE = lazy_pattern(r'([^\s=/"\']+)\s*=\s*(?:"([^"]+)"|\'([^\']+)\')')
JSON_ESCAPES = {'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

Finding = tuple[int, int, str]


class SecretNames:
    """Names of secrets, in lower case"""

    def __init__(self, names: Iterable[str]):
        self.names = frozenset(names)
        # How a name may be hidden in JSON
        is_plain = all(name.isprintable() and not set('"/\\') & set(name) for name in self.names)
        self._escape = '\\u' if is_plain else '\\'

    def __bool__(self) -> bool:
        return bool(self.names)

    def __contains__(self, name: object) -> bool:
        """Whether a parameter is a secret, or a part of one: `user[api_key][]` is for `api_key`"""
        text = str(name).strip().lstrip('/!').lower()
        return text in self.names or ('[' in text and not self.names.isdisjoint(filter(None, BRACKETS.split(text))))

    def may_be_in(self, text: str) -> bool:
        """Whether there is something to look for, which may be a password in a URL; False is certain"""
        for _ in range(MAX_DEPTH):
            lower = text.lower()
            if self._escape in lower or any(name in lower for name in self.names):
                return True
            if '@' in text and PASSWORD.search(text):
                return True
            if '%' not in text:
                return False
            text = unquote(text)
        return True


def secret_names(ignored_parameters: Iterable[str] | None) -> SecretNames:
    return _secret_names(tuple(ignored_parameters or ()))


@lru_cache(maxsize=64)
def _secret_names(names: tuple[str, ...]) -> SecretNames:
    return SecretNames(str(name).lower() for name in names if name)


def replaced(text: str, findings: Iterable[Finding]) -> str:
    """A text with all that was found in it replaced"""
    pieces: list[str] = []
    position = 0
    for start, end, replacement in findings:
        pieces += (text[position:start], replacement)
        position = end
    return ''.join([*pieces, text[position:]]) if pieces else text


def in_url(url: str, names: SecretNames, depth: int = 0) -> Iterator[Finding]:
    """The password of a URL or URL reference, and its secret parameters, in its path, query and fragment"""
    parts = split_url(url)
    position = 0 if parts.scheme is None else len(parts.scheme) + 1
    if parts.location is not None:
        position += 2
        if parts.userinfo is not None:
            user, _, password = parts.userinfo.partition(':')
            if password:
                start = position + len(user) + 1
                yield start, start + len(password), REDACTED
            position += len(parts.userinfo) + 1
        position += len(parts.location)
    end = position + len(parts.path)
    for parameter in PATH_PARAMETER.finditer(url, position, end):
        if unquote_plus(parameter[2]) in names:
            value = PATH_VALUES[parameter[1]].match(url, parameter.end(), end)
            if value is not None:
                yield value.start(), value.end(), REDACTED
    for text in (parts.query, parts.fragment):
        if text is not None:
            yield from moved(in_pairs(text, names, depth), end + 1)
            end += len(text) + 1


def in_pairs(text: str, names: SecretNames, depth: int = 0) -> Iterator[Finding]:
    """The secret parameters of a query, fragment or form"""
    for piece in PIECE.finditer(text):
        name, _, value = piece[0].partition('=')
        start = piece.start() + len(name) + 1
        if value and unquote_plus(name) in names:
            yield start, piece.end(), REDACTED
            continue
        later = _later_parameters(text, piece.start(), piece.end(), names)
        yield from _merged([*later, *moved(in_encoded(value, names, depth), start)])


def _later_parameters(text: str, start: int, end: int, names: SecretNames) -> Iterator[Finding]:
    while match := LATER_PARAMETER.search(text, start, end):
        start = match.end()
        if unquote_plus(match[1]) in names:
            following = NEXT_PARAMETER.search(text, start, end)
            value_end = following.start() if following else end
            if value_end > start:
                yield start, value_end, REDACTED
            start = value_end


def in_encoded(value: str, names: SecretNames, depth: int = 0) -> Iterator[Finding]:
    """Secrets in the value of a parameter, which is percent-encoded"""
    if '%' not in value:
        # Parameters in it have been found already
        if value[:1] in ('{', '[') or '@' in value:
            yield from in_value(value, names, depth + 1)
        return
    if not names.may_be_in(value):
        return
    characters, offsets = [], []
    for match in QUERY_CHARACTER.finditer(value):
        characters.append(chr(int(match[1], 16)) if match[1] else ' ' if match[2] else match[0])
        offsets.append(match.start())
    # Each byte has become a character of its own
    in_bytes = {name.encode('utf-8', 'replace').decode('latin-1').lower() for name in names.names}
    findings = in_value(''.join(characters), SecretNames(names.names | in_bytes), depth + 1)
    yield from _mapped(findings, [*offsets, len(value)], lambda new: quote(new, safe=''))


def in_value(text: str, names: SecretNames, depth: int = 0) -> Iterator[Finding]:
    """Secrets in one decoded value, which may be a URL, a form, or a JSON document"""
    if depth > MAX_DEPTH or not names.may_be_in(text):
        return
    if text.lstrip()[:1] in ('{', '['):
        yield from in_json(text, names, depth)
    elif '?' in text or '#' in text or URL_START.match(text):
        yield from in_url(text, names, depth)
    elif '=' in text:
        yield from in_pairs(text, names, depth)
    elif '%' in text:
        yield from in_encoded(text, names, depth)


def in_json(text: str, names: SecretNames, depth: int = 0) -> Iterator[Finding]:
    """The secret members at any depth of JSON documents, one or several, valid or not"""
    if not names.may_be_in(text):
        return
    position = 0
    while match := JSON_STRING.search(text, position):
        position = match.end()
        if match[2] is None:
            yield from moved(_encoded_in_json(match[1], names, depth), match.start())
        elif _decode_json_string(match[1]) in names:
            end = _end_of_json_value(text, position)
            yield position, end, f'"{REDACTED}"'
            position = end


def _encoded_in_json(token: str, names: SecretNames, depth: int) -> Iterator[Finding]:
    content = token[1:].removesuffix('"')
    is_document = content.lstrip()[:1] in ('{', '[')
    if not (is_document or URL_START.match(content)) or not names.may_be_in(content):
        return
    characters, offsets = [], []
    for match in JSON_CHARACTER.finditer(content):
        code, escaped = match.groups()
        characters.append(chr(int(code, 16)) if code else JSON_ESCAPES.get(escaped, escaped) if escaped else match[0])
        offsets.append(match.start() + 1)
    text = ''.join(characters)
    if is_document or not any(character.isspace() for character in text):
        findings = in_value(text, names, depth + 1)
        yield from _mapped(findings, [*offsets, len(content) + 1], lambda new: json.dumps(new)[1:-1])


def _decode_json_string(text: str) -> str:
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        return text.strip('"')


def _end_of_json_value(text: str, start: int) -> int:
    depth = 0
    for token in JSON_TOKEN.finditer(text, start):
        depth += {'[': 1, '{': 1, ']': -1, '}': -1}.get(token[0], 0)
        if depth < 0 or (depth == 0 and token[0] == ','):
            return start + len(text[start : token.start()].rstrip())
        if depth == 0:
            return token.end()
    return len(text)


def in_xml(text: str, names: SecretNames) -> Iterator[Finding]:
    """The content of XML elements and the values of attributes with a secret name, whatever their namespace"""
    if not names.may_be_in(text):
        return
    position = 0
    while match := XML_TOKEN.search(text, position):
        position = match.end()
        if not match[2] or match[1]:
            continue
        for attribute in XML_ATTRIBUTE.finditer(text, match.start(3), match.end(3)):
            if attribute[1].rpartition(':')[2] in names:
                group = 2 if attribute[2] else 3
                yield attribute.start(group), attribute.end(group), REDACTED
        if match[2].rpartition(':')[2] in names and not match[3].endswith('/'):
            end = _end_of_element(text, position, match[2])
            if end > position:
                yield position, end, REDACTED
            position = end


def _end_of_element(text: str, start: int, name: str) -> int:
    depth = 1
    for token in XML_TOKEN.finditer(text, start):
        if token[2] == name and not token[3].endswith('/'):
            depth += -1 if token[1] else 1
            if depth == 0:
                return token.start()
    return len(text)


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    merged: list[Finding] = []
    for start, end, new in sorted(findings):
        if merged and start < merged[-1][1]:
            last_start, last_end, last_new = merged[-1]
            merged[-1] = last_start, max(last_end, end), last_new
        else:
            merged.append((start, end, new))
    return merged


def moved(findings: Iterable[Finding], distance: int) -> Iterator[Finding]:
    """Findings in a part of a text as places in the whole"""
    return ((start + distance, end + distance, new) for start, end, new in findings)


def _mapped(findings: Iterable[Finding], offsets: list[int], encode: Callable[[str], str]) -> Iterator[Finding]:
    """Findings in a decoded text as places in the encoded one"""
    return ((offsets[start], offsets[end], encode(new)) for start, end, new in findings)
