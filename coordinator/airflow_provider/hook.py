"""``EtcdHook``: the connection type ``etcd``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coordinator.airflow_provider.airflow_names import BaseHook

if TYPE_CHECKING:
    from coordinator.airflow_provider.etcd_config import EtcdConfig
    from coordinator.store.port import Store


class EtcdHook(BaseHook):  # type: ignore[misc]  # Airflow is an optional dependency
    """An etcd of the coordinator.

    :param etcd_conn_id: an Airflow connection of the type ``etcd``; ``None``: the configuration of the coordinator on
        this host.
    """

    conn_name_attr = "etcd_conn_id"
    default_conn_name = "etcd_default"
    conn_type = "etcd"
    hook_name = "etcd (coordinator)"

    def __init__(self, etcd_conn_id: str | None = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.etcd_conn_id = etcd_conn_id

    def config(self) -> EtcdConfig:
        """Which etcd, and the name of this Airflow there. :raises ConfigurationError: the connection is wrong."""
        from coordinator.airflow_provider.etcd_config import from_configuration, from_connection

        if self.etcd_conn_id is None:
            return from_configuration()
        return from_connection(self.get_connection(self.etcd_conn_id))

    async def aconfig(self) -> EtcdConfig:
        """The same, for a trigger: it must not block the event loop."""
        from asyncio import to_thread

        from coordinator.airflow_provider.etcd_config import from_configuration, from_connection

        if self.etcd_conn_id is None:
            return await to_thread(from_configuration)
        if hasattr(self, "aget_connection"):
            connection = await self.aget_connection(self.etcd_conn_id)
        else:
            connection = await to_thread(self.get_connection, self.etcd_conn_id)
        return await to_thread(from_connection, connection)  # it may read the configuration file

    def get_conn(self) -> Store:
        """The store of this process, connected when it is first asked for.

        :raises ConfigurationError: the connection is wrong.
        """
        from coordinator.store.of_process import store_of_this_process

        return store_of_this_process(self.config().etcd)

    def test_connection(self) -> tuple[bool, str]:
        """For the button of the connection form."""
        from coordinator.errors import CoordinatorError
        from coordinator.store.connection import connect
        from coordinator.store.keys import Keys

        try:
            config = self.config()
            store = connect(config.etcd)
            try:
                listing = store.list(Keys(config.etcd.prefix).every("wait", config.environment))
            finally:
                store.close()
        except CoordinatorError as error:
            return False, str(error)
        return (
            True,
            f"connected to etcd (revision {listing.revision}); this Airflow's environment is {config.environment!r}",
        )
