"""Ready-made serializers

Third-party libraries are imported when a serializer is first used.
"""

from __future__ import annotations

import json
from functools import partial
from importlib import import_module
from operator import methodcaller
from typing import Any

from .cattrs import CattrStage, DocumentStage
from .checksum import RecordStage
from .json_text import JsonTextStage, load_entry
from .pipeline import SerializerPipeline, Stage
from .record import map_values
from .signing import SigningStage
from .unpickling import dumps as plain_pickle_dumps
from .unpickling import loads as plain_pickle_loads

# More than can be written, as the dumper is limited by Python's recursion limit
MAX_YAML_DEPTH = 400


def make_stage(preconf_module: str, b64: bool = False, **kwargs: Any) -> CattrStage:
    """A stage with the conversions of a `cattrs.preconf` module, which is imported on first use

    Args:
        preconf_module: Name of the module
        b64: Write binary data as base64 text
        kwargs: Arguments of `CattrStage`
    """

    def factory(**options: Any) -> Any:
        return import_module(preconf_module).make_converter(**options)

    return CattrStage(factory, encode_bytes=b64, **kwargs)


base_stage = CattrStage()
# No lambdas, here and below, so that serializers can be pickled
utf8_encoder = Stage(dumps=methodcaller('encode', 'utf-8'), loads=methodcaller('decode', 'utf-8'))

bson_preconf_stage = CattrStage(convert_datetime=False)
dynamodb_preconf_stage = CattrStage()
json_preconf_stage = CattrStage(encode_bytes=True)
msgpack_preconf_stage = CattrStage()
orjson_preconf_stage = CattrStage(encode_bytes=True)
ujson_preconf_stage = CattrStage(encode_bytes=True)
yaml_preconf_stage = CattrStage()


def _bson_dumps(value: Any) -> bytes:
    import bson

    return bson.encode(value)


def _bson_loads(value: bytes) -> Any:
    import bson

    return bson.decode(value)


def _orjson_dumps(value: Any) -> bytes:
    import orjson

    return orjson.dumps(value, option=orjson.OPT_INDENT_2)


def _orjson_loads(value: bytes | str) -> Any:
    import orjson

    return orjson.loads(value)


def _ujson_dumps(value: Any) -> str:
    import ujson

    text: str = ujson.dumps(value, indent=2)
    return text


def _ujson_loads(value: bytes | str) -> Any:
    import ujson

    return load_entry(value, ujson.loads)


def _yaml_dumps(value: Any) -> str:
    import yaml

    text: str = yaml.dump(value, Dumper=getattr(yaml, 'CSafeDumper', yaml.SafeDumper), sort_keys=False)
    return text


def _yaml_loads(value: bytes | str) -> Any:
    import yaml

    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
    _check_depth(yaml, value, loader)
    return yaml.load(value, Loader=loader)


def _check_depth(yaml: Any, value: bytes | str, loader: Any) -> None:
    """Refuse YAML that is nested so deeply that libyaml would overflow its stack and crash the process"""
    depth = 0
    for event in yaml.parse(value, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_YAML_DEPTH:
                raise ValueError(f'the YAML is nested more than {MAX_YAML_DEPTH} levels deep')
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _to_decimals(value: Any) -> Any:
    from decimal import Decimal

    return map_values(value, {float: lambda v: Decimal(repr(v))})


def _from_decimals(value: Any) -> Any:
    from decimal import Decimal

    return map_values(value, {Decimal: lambda v: int(v) if v == v.to_integral_value() else float(v)})


_pickle_stage = Stage(dumps=plain_pickle_dumps, loads=plain_pickle_loads)

pickle_serializer = SerializerPipeline([base_stage, _pickle_stage], name='pickle', is_binary=True)
json_serializer = SerializerPipeline(
    [
        json_preconf_stage,
        JsonTextStage(dumps=partial(json.dumps, indent=2), loads=partial(load_entry, loads=json.loads)),
    ],
    name='json',
)
ujson_serializer = SerializerPipeline(
    [ujson_preconf_stage, JsonTextStage(dumps=_ujson_dumps, loads=_ujson_loads)],
    name='ujson',
    requires=[('ujson', 'json')],
)
orjson_serializer = SerializerPipeline(
    [orjson_preconf_stage, RecordStage(dumps=_orjson_dumps, loads=_orjson_loads)],
    name='orjson',
    is_binary=True,
    requires=[('orjson', 'json')],
)
yaml_serializer = SerializerPipeline(
    [yaml_preconf_stage, RecordStage(dumps=_yaml_dumps, loads=_yaml_loads)], name='yaml', requires=[('yaml', 'yaml')]
)
bson_serializer = SerializerPipeline(
    [bson_preconf_stage, RecordStage(dumps=_bson_dumps, loads=_bson_loads)],
    name='bson',
    is_binary=True,
    requires=[('bson', 'bson')],
)
# The number of stages is part of the keys
bson_document_serializer = SerializerPipeline([DocumentStage(convert_datetime=False)], name='bson_document')
dynamodb_document_serializer = SerializerPipeline(
    [dynamodb_preconf_stage, RecordStage(dumps=_to_decimals, loads=_from_decimals)], name='dynamodb_document'
)
dict_serializer = SerializerPipeline([DocumentStage()], name='dict')
utf8_serializer = SerializerPipeline([utf8_encoder], name='utf8', is_binary=True)


def signer_stage(
    secret_key: Any = None, salt: str | bytes = 'requests-cache', accept_unbound: bool = True
) -> SigningStage:
    """Make a stage that signs bytes together with the key of their entry, and refuses bytes without such a signature

    Args:
        secret_key, salt, accept_unbound: As for `safe_pickle_serializer()`
    """
    return SigningStage(secret_key, salt, accept_unbound)


def safe_pickle_serializer(
    secret_key: Any = None, salt: str | bytes = 'requests-cache', accept_unbound: bool = True, **kwargs: Any
) -> SerializerPipeline:
    """Make a pickle serializer that signs each entry together with its key

    Reading an entry that was signed with another secret key, or for another cache key, raises
    `itsdangerous.BadSignature`.

    Args:
        secret_key: The secret key. Of several keys, the last one signs, and all of them are accepted.
        salt: Keeps these signatures apart from others that are made with the same secret key
        accept_unbound: Also read entries that were signed without their cache key, as by 1.3 and before
        kwargs: Ignored
    """
    pipeline = SerializerPipeline(
        [base_stage, _pickle_stage], name='safe_pickle', is_binary=True, requires=[('itsdangerous', 'security')]
    )
    pipeline.check_requirements()
    pipeline.stages.append(signer_stage(secret_key, salt, accept_unbound))
    return pipeline
