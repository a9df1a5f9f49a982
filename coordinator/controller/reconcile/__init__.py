"""From what etcd tells to what is written: events become decisions, decisions become steps, steps become writes."""
