"""``AssetEventOperator``: emits an asset event for other environments, or forwards those that triggered its run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coordinator.airflow_provider.airflow_names import AirflowFailException, BaseOperator
from coordinator.airflow_provider.hook import EtcdHook

if TYPE_CHECKING:
    from coordinator.model.assets.events import AssetEventDocument


class AssetEventOperator(BaseOperator):  # type: ignore[misc]  # Airflow is an optional dependency
    """Emit an asset event for other environments; or, without ``asset``, forward the events that triggered this run.

    The event goes to the coordinator, not to this task's Airflow. A bridge forwards it like any event that the plugin
    reports, but only to environments that accept it (dependencies.json). A retry emits nothing twice: each attempt
    of the run emits one event for each task, map index and asset. Once the run or the task is cleared, the task emits
    another one.

    :param asset: its URI; ``None``: every event that triggered this run. May be a template.
    :param to: the environments that the event is for; none: those to which a bridge leads that is not ``explicit``.
    :param extra: of the event; a forwarded one has its own, and these members too. May hold templates.
    :param partition_key: of the event; ``None``: a forwarded one keeps its own. May be a template.
    :param keep_in_outbox: if etcd does not answer, keep the event in the outbox of the plugin on this worker, and
        succeed; its sender delivers it when etcd is back. Only for workers whose disk stays. Otherwise the task fails,
        and is to be retried.
    :param etcd_conn_id: an Airflow connection of the type ``etcd``; ``None``: the configuration of the coordinator on
        the worker.
    :raises ValueError: ``keep_in_outbox`` with ``etcd_conn_id``: the outbox is of that configuration.
    """

    template_fields: Sequence[str] = ("asset", "extra", "partition_key")

    def __init__(
        self,
        *,
        asset: str | None = None,
        to: Sequence[str] = (),
        extra: Mapping[str, Any] | None = None,
        partition_key: str | None = None,
        keep_in_outbox: bool = False,
        etcd_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if keep_in_outbox and etcd_conn_id is not None:
            raise ValueError(
                f"task {self.task_id}: keep_in_outbox needs the configuration of the coordinator on the worker, which "
                "says where the outbox is; expected no etcd_conn_id"
            )
        if isinstance(to, str):
            raise ValueError(f"task {self.task_id}: to={to!r}: expected a list of environments, such as [{to!r}]")
        self.asset = asset
        self.to = tuple(to)
        self.extra = dict(extra or {})
        self.partition_key = partition_key
        self.keep_in_outbox = keep_in_outbox
        self.etcd_conn_id = etcd_conn_id

    def execute(self, context: Mapping[str, Any]) -> list[str]:
        """:returns: the ids of the events.

        :raises AirflowFailException: an event is wrong, and would be with every try.
        :raises StoreError: etcd could not be reached, so that it may or may not have been written.
        """
        from coordinator.airflow_provider.runs import began_of
        from coordinator.model.assets.events import InvalidEvent, new_event_id

        hook = EtcdHook(self.etcd_conn_id)
        config = hook.config()
        if self.asset is not None and not self.asset:
            raise AirflowFailException(
                "asset is empty; expected a URI, or no asset, to forward the events that triggered this run"
            )
        if config.environment in self.to:
            raise AirflowFailException(f"to: {config.environment!r} is the environment of this task; expected others")
        found = []
        for number, document in enumerate(self._documents(context, config.environment)):
            event_id = new_event_id(document, attempt=began_of(context, number))
            try:
                self._write(hook, config.environment, event_id, document)
            except InvalidEvent as error:
                raise AirflowFailException(str(error)) from error
            found.append(event_id)
        return found

    def _documents(self, context: Mapping[str, Any], environment: str) -> Iterator[AssetEventDocument]:
        from datetime import UTC, datetime

        from coordinator.airflow_provider.runs import map_index_of, triggering_events
        from coordinator.model.assets.events import AssetEventDocument

        instance = context["ti"]
        own: dict[str, Any] = {
            "dag_id": instance.dag_id,
            "run_id": context["dag_run"].run_id,
            "task_id": instance.task_id,
            "map_index": map_index_of(context),
            "partition_key": self.partition_key,
            "extra": self.extra,
            "to": [*self.to],
            "timestamp": datetime.now(UTC),
            "reported_by": f"airflow/{environment}/{instance.dag_id}/{instance.task_id}",
        }
        if self.asset is not None:
            yield AssetEventDocument(uri=self.asset, **own)
            return
        for uri, event in triggering_events(context):
            of_event = {
                "extra": {**(event.extra or {}), **self.extra},
                "partition_key": self.partition_key or getattr(event, "partition_key", None),
                "timestamp": event.timestamp,
            }
            if event.source_run_id is not None:
                of_event |= {
                    name: getattr(event, f"source_{name}") for name in ("dag_id", "run_id", "task_id", "map_index")
                }
            yield AssetEventDocument(uri=uri, **(own | of_event))

    def _write(self, hook: EtcdHook, environment: str, event_id: str, document: AssetEventDocument) -> None:
        from coordinator.commands.emit import write_event
        from coordinator.store.keys import Keys
        from coordinator.store.port import StoreUnavailable

        try:
            verdict = write_event(hook.get_conn(), Keys(hook.config().etcd.prefix), environment, event_id, document)
        except StoreUnavailable as error:
            if not self.keep_in_outbox:
                raise
            from coordinator.airflow_plugin.plugin import keep_event

            keep_event(event_id, document)
            self.log.warning("kept in the outbox, until etcd is back: %s (%s)", event_id, error)
        else:
            self.log.info("asset event: %s of %s (%s)", event_id, document.uri, verdict.name.lower())
