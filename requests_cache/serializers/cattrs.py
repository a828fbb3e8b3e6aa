"""The stage that converts responses to records of plain values"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ..exceptions import MissingDependencyError
from ..models.response import CachedResponse, DecodedContent
from .checksum import check, with_checksum
from .pipeline import Stage
from .record import Record, RecordFormat, from_record, map_values, to_record

__all__ = ['CattrStage', 'DecodedContent']


class CattrStage(Stage):
    """Converts a response to a record (a dict of plain values), and back; other values are passed on unchanged

    Args:
        factory: A function that creates the `cattrs` converter, for formats with their own conversions
        decode_content: Add a readable copy of JSON and text bodies to the record
        convert_datetime: Write times as ISO 8601 text, instead of passing on `datetime` objects
        convert_timedelta: Write durations as seconds, instead of passing on `timedelta` objects
        encode_bytes: Write binary data as base64 text
    """

    # Responses may refer to a body that is stored separately
    takes_bodies = True

    def __init__(self, factory: Callable[..., Any] | None = None, decode_content: bool = False, **kwargs: Any):
        self.obj = None
        self.factory = factory
        self.decode_content = decode_content
        self.format = RecordFormat(
            iso_datetimes=kwargs.get('convert_datetime', True),
            numeric_timedeltas=kwargs.get('convert_timedelta', True),
            text_bytes=kwargs.get('encode_bytes', False),
        )
        self._converter: Any = None

    @property
    def converter(self) -> Any:
        """A `cattrs` converter, to which hooks can be added; after the first access, it converts all responses

        Raises:
            MissingDependencyError: cattrs is not installed
        """
        if self._converter is None:
            self._converter = self._make_converter()
        return self._converter

    @property
    def takes_buffers(self) -> bool:
        """Whether a body in base64 may be a memoryview, which `cattrs` converters do not support"""
        return self._converter is None and self.factory is None

    def dumps(self, value: Any) -> Any:
        if not isinstance(value, CachedResponse):
            return value
        if self._converter is None and self.factory is None:
            return to_record(value, self.format, self.decode_content)
        return self.converter.unstructure(value, unstructure_as=CachedResponse)

    def loads(self, value: Any) -> Any:
        is_dict = isinstance(value, dict)
        if not is_dict and not isinstance(value, Mapping):
            return value
        if self._converter is None and self.factory is None:
            return from_record(value if is_dict else dict(value))
        return self.converter.structure(value, CachedResponse)

    def copy(self) -> CattrStage:
        stage = type(self).__new__(type(self))
        stage.__dict__.update(self.__dict__)
        return stage

    __copy__ = copy

    def _make_converter(self) -> Any:
        try:
            from cattrs import Converter
        except ImportError as e:
            raise MissingDependencyError('A custom cattrs converter', 'cattrs', 'cattrs') from e
        factory = self.factory or Converter
        try:
            converter = factory(omit_if_default=True)
        except TypeError:
            converter = factory()
        if self.format.iso_datetimes:
            converter.register_unstructure_hook(datetime, lambda v: v.isoformat())
        if self.format.numeric_timedeltas:
            converter.register_unstructure_hook(timedelta, lambda v: v.total_seconds())
        if self.format.text_bytes:
            converter.register_unstructure_hook(bytes, self.format.bytes)
        # Use a predicate: for a class, cattrs would evaluate all annotations of the base classes in `requests`
        converter.register_unstructure_hook_func(_is_response, lambda r: self._unstructure(converter, r))
        converter.register_structure_hook_func(_is_response, lambda v, _: self._structure(converter, v))
        if self.format.iso_datetimes:
            converter.register_structure_hook(datetime, lambda v, _: v if isinstance(v, datetime) else _parse(v))
        return converter

    def _unstructure(self, converter: Any, response: CachedResponse) -> Record:
        native = RecordFormat(iso_datetimes=False, numeric_timedeltas=False)
        kinds = (datetime, timedelta, bytes)
        record: Record = map_values(
            to_record(response, native, self.decode_content), dict.fromkeys(kinds, converter.unstructure)
        )
        return record

    def _structure(self, converter: Any, value: Mapping[str, Any]) -> CachedResponse:
        record = self._structure_values(converter, value)
        if record.get('history'):
            record['history'] = [self._structure_values(converter, r) for r in record['history']]
        return from_record(record)

    def _structure_values(self, converter: Any, value: Mapping[str, Any]) -> Record:
        kinds: dict[str, type] = {'created_at': datetime, 'expires': datetime}
        if self.factory is not None and not self.format.text_bytes:
            kinds.update(_content=bytes, body=bytes)
        record = {k: converter.structure(v, kinds[k]) if k in kinds and v is not None else v for k, v in value.items()}
        for name in ('request', '_next'):
            if isinstance(record.get(name), Mapping):
                record[name] = self._structure_values(converter, record[name])
        return record


class DocumentStage(CattrStage):
    """The same for document stores, which store records unchanged: also adds a checksum, and verifies it"""

    def dumps(self, value: Any) -> Any:
        return with_checksum(super().dumps(value))

    def loads(self, value: Any) -> Any:
        return super().loads(check(value))


def _is_response(cls: Any) -> bool:
    return cls is CachedResponse


def _parse(value: Any) -> datetime:
    return datetime.fromisoformat(value)
