"""The messages for the deciding thread, from etcd and from environments."""

from __future__ import annotations

from coordinator.controller.dispatch.jobs import ChangesSeen, EffectDone, LookDone
from coordinator.store.port import Changes
from coordinator.store.reflector import Disconnected, Snapshot

Message = Snapshot | Changes | Disconnected | EffectDone | LookDone | ChangesSeen
