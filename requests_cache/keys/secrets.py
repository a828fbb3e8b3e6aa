"""Finding secrets in URLs, forms, JSON and XML by their names

Every function yields the values of secrets as `(start, end, replacement)`, in order and without overlaps, so that the
rest of the text stays unchanged. Nested values (a URL as a parameter, JSON in a form, JSON in a JSON string) are
searched up to `MAX_DEPTH` levels deep.

Servers differ in which characters separate parameters, and a value may contain a separator. If in doubt, more text is
replaced:

- `&` always ends a value
- `;` and `?` start a parameter as well. A value after one of these ends at the next `;` that starts a parameter; a
  value after `&` continues to the next `&`.
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
# An unterminated string extends to the end of the text; starting again at each of its quotes would take forever
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
        # What JSON may contain in place of a name
        is_plain = all(name.isprintable() and not set('"/\\') & set(name) for name in self.names)
        self._escape = '\\u' if is_plain else '\\'

    def __bool__(self) -> bool:
        return bool(self.names)

    def __contains__(self, name: object) -> bool:
        """Whether a parameter is a secret, or contains one in brackets: `user[api_key][]` contains `api_key`"""
        text = str(name).strip().lstrip('/!').lower()
        return text in self.names or ('[' in text and not self.names.isdisjoint(filter(None, BRACKETS.split(text))))

    def may_be_in(self, text: str) -> bool:
        """Whether a text may contain a secret, such as a password in a URL; False means that it certainly does not"""
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


def replace_findings(text: str, findings: Iterable[Finding]) -> str:
    """A text with all findings replaced"""
    pieces: list[str] = []
    position = 0
    for start, end, replacement in findings:
        pieces += (text[position:start], replacement)
        position = end
    return ''.join([*pieces, text[position:]]) if pieces else text


def find_in_url(url: str, names: SecretNames, depth: int = 0) -> Iterator[Finding]:
    """Find the password of a URL or URL reference, and secret parameters in its path, query and fragment"""
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
            yield from shift_findings(find_in_pairs(text, names, depth), end + 1)
            end += len(text) + 1


def find_in_pairs(text: str, names: SecretNames, depth: int = 0) -> Iterator[Finding]:
    """Find the secret parameters of a query, fragment or form"""
    for piece in PIECE.finditer(text):
        name, _, value = piece[0].partition('=')
        start = piece.start() + len(name) + 1
        if value and unquote_plus(name) in names:
            yield start, piece.end(), REDACTED
            continue
        later = _later_parameters(text, piece.start(), piece.end(), names)
        yield from _merge_findings([*later, *shift_findings(find_in_encoded(value, names, depth), start)])


def _later_parameters(text: str, start: int, end: int, names: SecretNames) -> Iterator[Finding]:
    while match := LATER_PARAMETER.search(text, start, end):
        start = match.end()
        if unquote_plus(match[1]) in names:
            following = NEXT_PARAMETER.search(text, start, end)
            value_end = following.start() if following else end
            if value_end > start:
                yield start, value_end, REDACTED
            start = value_end


def find_in_encoded(value: str, names: SecretNames, depth: int = 0) -> Iterator[Finding]:
    """Find secrets in the percent-encoded value of a parameter"""
    if '%' not in value:
        # Parameters in the value have been found already
        if value[:1] in ('{', '[') or '@' in value:
            yield from find_in_value(value, names, depth + 1)
        return
    if not names.may_be_in(value):
        return
    characters, offsets = [], []
    for match in QUERY_CHARACTER.finditer(value):
        characters.append(chr(int(match[1], 16)) if match[1] else ' ' if match[2] else match[0])
        offsets.append(match.start())
    # Each byte was decoded to one character
    in_bytes = {name.encode('utf-8', 'replace').decode('latin-1').lower() for name in names.names}
    findings = find_in_value(''.join(characters), SecretNames(names.names | in_bytes), depth + 1)
    yield from _map_findings(findings, [*offsets, len(value)], lambda new: quote(new, safe=''))


def find_in_value(text: str, names: SecretNames, depth: int = 0) -> Iterator[Finding]:
    """Find secrets in a decoded value, which may be a URL, a form, or a JSON document"""
    if depth > MAX_DEPTH or not names.may_be_in(text):
        return
    if text.lstrip()[:1] in ('{', '['):
        yield from find_in_json(text, names, depth)
    elif '?' in text or '#' in text or URL_START.match(text):
        yield from find_in_url(text, names, depth)
    elif '=' in text:
        yield from find_in_pairs(text, names, depth)
    elif '%' in text:
        yield from find_in_encoded(text, names, depth)


def find_in_json(text: str, names: SecretNames, depth: int = 0) -> Iterator[Finding]:
    """Find the secret members, at any depth, of one or several JSON documents, valid or not"""
    if not names.may_be_in(text):
        return
    position = 0
    while match := JSON_STRING.search(text, position):
        position = match.end()
        if match[2] is None:
            yield from shift_findings(_find_in_json_string(match[1], names, depth), match.start())
        elif _decode_json_string(match[1]) in names:
            end = _end_of_json_value(text, position)
            yield position, end, f'"{REDACTED}"'
            position = end


def _find_in_json_string(token: str, names: SecretNames, depth: int) -> Iterator[Finding]:
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
        findings = find_in_value(text, names, depth + 1)
        yield from _map_findings(findings, [*offsets, len(content) + 1], lambda new: json.dumps(new)[1:-1])


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


def find_in_xml(text: str, names: SecretNames) -> Iterator[Finding]:
    """Find the content of XML elements and the values of attributes with a secret name, in any namespace"""
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


def _merge_findings(findings: Iterable[Finding]) -> list[Finding]:
    merged: list[Finding] = []
    for start, end, new in sorted(findings):
        if merged and start < merged[-1][1]:
            last_start, last_end, last_new = merged[-1]
            merged[-1] = last_start, max(last_end, end), last_new
        else:
            merged.append((start, end, new))
    return merged


def shift_findings(findings: Iterable[Finding], distance: int) -> Iterator[Finding]:
    """Convert positions in a part of a text to positions in the whole text"""
    return ((start + distance, end + distance, new) for start, end, new in findings)


def _map_findings(findings: Iterable[Finding], offsets: list[int], encode: Callable[[str], str]) -> Iterator[Finding]:
    """Convert positions in a decoded text to positions in the encoded text"""
    return ((offsets[start], offsets[end], encode(new)) for start, end, new in findings)
