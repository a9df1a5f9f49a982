"""The floor: the minimal work between a completion and a trigger.

A raw gRPC watch, and for every put one transaction and one POST, in the watcher's process model: one thread reads
the watch, a pool of workers does the rest. No cache, no decision, no record of what was done, no outcome.
"""

from __future__ import annotations

import argparse
import json
import queue
import threading

import grpc
import requests

from coordinator.store.protobuf import import_etcd3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--etcd", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--airflow", required=True)
    parser.add_argument("--workers", type=int, required=True)
    options = parser.parse_args()
    rpc = import_etcd3().etcdrpc
    channel = grpc.insecure_channel(options.etcd)
    token = requests.post(
        f"{options.airflow}/auth/token", json={"username": "admin", "password": "admin"}, timeout=5
    ).json()["access_token"]
    work: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()

    def worker() -> None:
        kv = rpc.KVStub(channel)
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token}"
        while True:
            key, revision = work.get()
            partition = key.rsplit("/", 1)[1]
            record = key.replace("/state/", "/trigger/").encode()
            value = json.dumps({"status": "intent", "revision": revision, "run_id": partition}).encode()
            transaction = rpc.TxnRequest(
                compare=[rpc.Compare(key=record, target=rpc.Compare.MOD, result=rpc.Compare.EQUAL, mod_revision=0)],
                success=[rpc.RequestOp(request_put=rpc.PutRequest(key=record, value=value))],
            )
            if kv.Txn(transaction, timeout=5).succeeded:
                body = {"dag_run_id": f"floor__{partition}", "logical_date": None, "conf": {"revision": revision}}
                session.post(f"{options.airflow}/api/v2/dags/D/dagRuns", json=body, timeout=5).raise_for_status()

    for _ in range(options.workers):
        threading.Thread(target=worker, daemon=True).start()
    prefix = f"{options.prefix}/state/".encode()
    end = prefix[:-1] + bytes([prefix[-1] + 1])
    requests_out: queue.SimpleQueue[object] = queue.SimpleQueue()
    requests_out.put(rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=prefix, range_end=end)))
    for answer in rpc.WatchStub(channel).Watch(iter(requests_out.get, None)):
        if answer.created:
            print("ready", flush=True)
        for event in answer.events:
            work.put((event.kv.key.decode(), event.kv.mod_revision))


if __name__ == "__main__":
    main()
