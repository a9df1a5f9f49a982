"""From events to writes: events become decisions, decisions become steps, and steps become writes to etcd."""
