"""What the deciding thread is told: by etcd, and by environments."""

from __future__ import annotations

from coordinator.store.port import Changes
from coordinator.store.reflector import Disconnected, Snapshot
from coordinator.watcher.jobs import EffectDone, LookDone

Message = Snapshot | Changes | Disconnected | EffectDone | LookDone
