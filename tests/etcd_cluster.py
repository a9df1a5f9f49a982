"""A real etcd for a test to mistreat: one member, or a cluster of three."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from coordinator.store.connection import connect
from coordinator.store.embedded import EmbeddedEtcd, free_port


class Member(EmbeddedEtcd):
    """One of several.

    :param cluster: name and peer port of all of them; this one is added.
    :ivar token: what makes the id of the cluster another one.
    """

    token = "together"

    def __init__(self, data_dir: Path, cluster: list[tuple[str, int]], *, arguments: Sequence[str] = ()) -> None:
        super().__init__(data_dir, arguments=arguments)
        self._peer_port = free_port()
        self._cluster = cluster
        cluster.append((self.name, self._peer_port))

    def command(self, binary: Path) -> list[str]:
        cluster = ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in self._cluster)
        return [*super().command(binary), f"--initial-cluster={cluster}", f"--initial-cluster-token={self.token}"]


class Cluster:
    """Use as a context manager.

    :param size: so many members.
    :param arguments: more arguments for each etcd.
    :param make: another kind of member.
    """

    def __init__(
        self, directory: Path, size: int = 3, *, arguments: Sequence[str] = (), make: Callable[..., Member] = Member
    ) -> None:
        together: list[tuple[str, int]] = []
        self.members = [make(directory / str(number), together, arguments=arguments) for number in range(size)]
        # A server ends with the thread that started it, so each has one that lives as long as the cluster.
        self._threads = {member.name: ThreadPoolExecutor(1) for member in self.members}

    @property
    def endpoints(self) -> list[str]:
        return [member.endpoint for member in self.members]

    def start(self, *members: Member) -> None:
        """Start these, or all that do not run. They wait for each other, so they are started together."""
        chosen = members or tuple(member for member in self.members if member.pid is None)
        for started in [self._threads[member.name].submit(member.start) for member in chosen]:
            started.result(60)

    def leader(self) -> Member:
        """The member that leads. :raises AssertionError: none does."""
        for member in self.members:
            if member.pid is not None and self._leads(member):
                return member
        raise AssertionError("no member of the cluster leads")

    def _leads(self, member: Member) -> bool:
        store = connect(member.settings.model_copy(update={"timeout": 1.0}))
        try:
            return store.status()[0].is_leader
        finally:
            store.close()

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members:
            member.thaw()
        for member in self.members:
            member.stop()
        for thread in self._threads.values():
            thread.shutdown()
