"""etcd3 can be imported on today's protobuf: by anybody, in any order, with the fast decoder."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run_python(script: str) -> str:
    """Run a script in a fresh interpreter that takes warnings for errors; what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_plain_import_is_what_does_not_work() -> None:
    """When this fails, etcd3 or protobuf has changed, and coordinator.store.protobuf may be no longer needed."""
    with pytest.raises(AssertionError, match="Descriptors cannot be created directly"):
        run_python("import etcd3")


def test_etcd3_is_imported_without_a_warning_and_with_the_fast_decoder() -> None:
    assert (
        run_python(
            "from coordinator.store.protobuf import import_etcd3\n"
            "from google.protobuf.internal import api_implementation\n"
            "etcd3 = import_etcd3()\n"
            "request = etcd3.etcdrpc.RangeRequest(key=b'k', limit=3)\n"
            "assert etcd3.etcdrpc.RangeRequest.FromString(request.SerializeToString()) == request\n"
            "assert import_etcd3() is etcd3\n"
            "import etcd3 as by_name\n"
            "assert by_name is etcd3\n"
            "print(api_implementation.Type())"
        )
        == "upb"
    )


def test_many_threads_may_be_first() -> None:
    run_python(
        "import threading\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from coordinator.store.protobuf import import_etcd3\n"
        "with ThreadPoolExecutor(16) as pool:\n"
        "    modules = list(pool.map(lambda _: import_etcd3(), range(64)))\n"
        "assert len(set(map(id, modules))) == 1"
    )


def test_another_package_with_a_file_of_the_same_name_is_no_conflict() -> None:
    run_python(
        "from google.protobuf import descriptor_pb2, descriptor_pool\n"
        "other = descriptor_pb2.FileDescriptorProto(name='rpc.proto', package='etcdserverpb')\n"
        "other.message_type.add(name='RangeRequest')\n"
        "descriptor_pool.Default().Add(other)\n"
        "from coordinator.store.protobuf import import_etcd3\n"
        "import_etcd3().etcdrpc.RangeRequest(key=b'k')"
    )


def test_a_failed_import_before_is_no_obstacle() -> None:
    run_python(
        "try:\n"
        "    import etcd3\n"
        "except TypeError:\n"
        "    pass\n"
        "from coordinator.store.protobuf import import_etcd3\n"
        "import_etcd3().etcdrpc.RangeRequest(key=b'k')"
    )


@pytest.mark.parametrize(
    "module", ["coordinator", "coordinator.commands.report", "coordinator.store.keys", "coordinator.store.reflector"]
)
def test_importing_it_does_not_load_grpc(module: str) -> None:
    """Airflow's scheduler imports the package, and forks: gRPC must not be in that process."""
    assert run_python(f"import sys, {module}; print('grpc' in sys.modules)") == "False"
