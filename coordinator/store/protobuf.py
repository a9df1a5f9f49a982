"""Makes ``import etcd3`` work on today's protobuf, with the fast decoder.

The generated modules of etcd3 0.12 build their descriptors one by one, which protobuf has refused since 4.0
("Descriptors cannot be created directly"). The official workaround, ``PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python``,
slows down every user of protobuf in the process. The same files also contain their descriptors in serialized form, as
today's generated code does. So the descriptors are read from the files (without importing them), and the modules are
built as ``protoc`` would build them today.

The descriptors go into a pool of their own: their names are ``kv.proto``, ``auth.proto`` and ``rpc.proto``, which in
the process-wide pool would conflict with files of other packages.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from coordinator.errors import ConfigurationError

_MODULES = ("kv_pb2", "auth_pb2", "rpc_pb2")
"""In the order in which they import each other."""

_ADDED: Final[dict[str, tuple[tuple[str, str, int, str], ...]]] = {
    "rpc_pb2": (
        ("WatchRequest", "progress_request", 3, ".etcdserverpb.WatchProgressRequest"),
        ("WatchCreateRequest", "fragment", 8, "bool"),
        ("WatchResponse", "fragment", 7, "bool"),
        ("StatusResponse", "dbSizeQuota", 12, "int64"),
    ),
}
"""Fields that etcd has had since 3.4 (``dbSizeQuota``: 3.6) and that etcd3 0.12 lacks: message, name, number and type,
as in etcd's ``api/etcdserverpb/rpc.proto``."""

_SERIALIZED = re.compile(r"serialized_pb=_b\(('(?:[^'\\]|\\.)*')\)")

_lock = threading.Lock()


def import_etcd3() -> ModuleType:
    """The package etcd3, ready for use; the first call prepares it. Safe from several threads.

    :raises ConfigurationError: etcd3 is not installed, or differs from 0.12.
    """
    with _lock:
        if "etcd3.etcdrpc.rpc_pb2" not in sys.modules:
            _register_modules()
        return importlib.import_module("etcd3")


def _register_modules() -> None:
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.internal import builder

    pool = DescriptorPool()
    built = {}
    for name, (file, serialized) in _serialized_descriptors().items():
        module = ModuleType(f"etcd3.etcdrpc.{name}")
        module.__file__ = str(file)
        namespace = vars(module)
        pool.AddSerializedFile(_with_added_fields(name, serialized))
        namespace["DESCRIPTOR"] = pool.FindFileByName(f"{name.removesuffix('_pb2')}.proto")
        builder.BuildMessageAndEnumDescriptors(namespace["DESCRIPTOR"], namespace)
        builder.BuildTopDescriptorsAndMessages(namespace["DESCRIPTOR"], module.__name__, namespace)
        built[module.__name__] = module
    sys.modules.update(built)


def _with_added_fields(module: str, serialized: bytes) -> bytes:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

    file = FileDescriptorProto.FromString(serialized)
    messages = {message.name: message for message in file.message_type}
    for name, field, number, kind in _ADDED.get(module, ()):
        if kind.startswith("."):
            empty = kind.rpartition(".")[2]
            if empty not in messages:
                messages[empty] = file.message_type.add(name=empty)
            how: dict[str, Any] = {"type": FieldDescriptorProto.TYPE_MESSAGE, "type_name": kind}
        else:
            how = {"type": FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")}
        messages[name].field.add(name=field, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL, **how)
    return file.SerializeToString()


def _serialized_descriptors() -> dict[str, tuple[Path, bytes]]:
    spec = importlib.util.find_spec("etcd3")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError("the package etcd3 is not installed; expected etcd3 0.12: pip install 'etcd3>=0.12'")
    folder = Path(next(iter(spec.submodule_search_locations))) / "etcdrpc"
    found = {}
    for name in _MODULES:
        file = folder / f"{name}.py"
        match = _SERIALIZED.search(file.read_text(encoding="utf-8")) if file.is_file() else None
        if match is None:
            raise ConfigurationError(
                f"{file}: no serialized descriptor found; this is not etcd3 0.12: pip install 'etcd3>=0.12,<0.13'"
            )
        found[name] = (file, str(ast.literal_eval(match.group(1))).encode("latin-1"))
    return found
