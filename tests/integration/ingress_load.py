#!/usr/bin/env python3
"""ingress_load.py PORT HOST [CONNECTIONS] - asks for / of HOST until SIGTERM, then prints {"ok", "retried", "failed": []}.

Half of the connections are kept, half are new for each request. A kept one that the server has closed before any byte of the
answer is tried once more on a new one, as RFC 9112 9.3.1 has it and every browser and library does: "retried". Everything else
that is not a 200 with the whole body is a failure. READY is printed when each connection had its first answer."""
import json
import signal
import socket
import sys
import threading

PORT, HOST = int(sys.argv[1]), sys.argv[2]
N = int(sys.argv[3]) if len(sys.argv) > 3 else 8
stop = threading.Event()
lock = threading.Lock()
total = {"ok": 0, "retried": 0, "failed": []}
first = threading.Barrier(N + 1)


class Closed(Exception):
    pass


def connect():
    return socket.create_connection(("127.0.0.1", PORT), 60)


def ask(s, keep):
    line = "keep-alive" if keep else "close"
    try:
        s.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: {line}\r\n\r\n".encode())
        head = s.recv(65536)
    except OSError as e:
        raise Closed(str(e)) from e
    if not head:
        raise Closed("end of file")
    while b"\r\n\r\n" not in head:
        more = s.recv(65536)
        if not more:
            raise RuntimeError("the answer's head is cut off")
        head += more
    head, _, body = head.partition(b"\r\n\r\n")
    fields = head.decode("latin-1").lower().split("\r\n")
    if " 200 " not in fields[0] + " ":
        raise RuntimeError(fields[0])
    length = [f for f in fields if f.startswith("content-length:")]
    while length and len(body) < int(length[0].split(":")[1]):
        more = s.recv(65536)
        if not more:
            raise RuntimeError("the body is cut off")
        body += more
    return keep and length and "connection: close" not in fields


def one(keep, kept):
    fresh = kept is None
    s = kept or connect()
    try:
        again = ask(s, keep)
    except Closed as e:
        s.close()
        if fresh:
            raise RuntimeError(f"a new connection: {e}") from e
        with lock:
            total["retried"] += 1
        return one(keep, None)
    if again:
        return s
    s.close()
    return None


def run(keep):
    kept = None
    begun = False
    while not stop.is_set():
        try:
            kept = one(keep, kept)
            with lock:
                total["ok"] += 1
        except (OSError, RuntimeError) as e:
            kept = None
            with lock:
                total["failed"].append(str(e))
        if not begun:
            begun = True
            first.wait()
        stop.wait(0.002)  # a machine with two cores has other things to do


signal.signal(signal.SIGTERM, lambda *_: stop.set())
threads = [threading.Thread(target=run, args=(i % 2 == 0,)) for i in range(N)]
for t in threads:
    t.start()
first.wait()
print("READY", flush=True)
while not stop.wait(3600):
    pass
for t in threads:
    t.join()
total["failed"] = total["failed"][:20]
print(json.dumps(total), flush=True)
