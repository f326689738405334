#!/usr/bin/env python3
"""hostile_clients.py SOCKET READY stall N PATH | churn N - clients that behave badly, for hostile.bats.
pings N NAME: N pings over a WebSocket, no answer is read; READY appears, then it waits to be killed.
halves 1 NAME: one client of the container ends its input, then another one types "hi" and prints what comes.
hostile_clients.py A B swap 0 - exchanges the names A and B until it is killed.

stall: N connections that each send GET PATH and read nothing; the file READY appears when all have sent, then it waits to be killed.
churn: makes and removes N volumes and containers with large labels, so that events are large.
"""
import ctypes, http.client, json, pathlib, select, socket, sys

path, ready, what, number = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    return s


def wait_for_the_end(sockets):
    """Reads nothing; returns when the engine has gone, also after a test that failed."""
    p = select.poll()
    for s in sockets:
        p.register(s, 0)
    p.poll()


def stall(target):
    keep = [connect() for _ in range(number)]
    for s in keep:
        s.send(f"GET {target} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
    pathlib.Path(ready).touch()
    wait_for_the_end(keep)


def churn():
    c = http.client.HTTPConnection("d")
    c.sock = connect()
    labels = {"pad": "x" * 8000}

    def ask(method, target, body=None):
        c.request(method, target, body and json.dumps(body), {"Content-Type": "application/json"})
        answer = c.getresponse()
        text = answer.read()
        assert answer.status < 300, text
    for _ in range(number):
        ask("POST", "/volumes/create", {"Name": "pad", "Labels": labels})
        ask("POST", "/containers/create?name=pad", {"Image": "bb", "Cmd": ["true"], "Labels": labels})
        ask("DELETE", "/containers/pad?v=1")
    ask("DELETE", "/volumes/pad")


def attach(name, head="Upgrade: tcp\r\n", method="POST", end=""):
    s = connect()
    s.sendall(f"{method} /containers/{name}/attach{end}?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\n"
              f"Connection: Upgrade\r\n{head}\r\n".encode())
    text = b""
    while b"\r\n\r\n" not in text:
        text += s.recv(1)
    assert b" 101 " in text, text
    return s


def pings(name):
    s = attach(name, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + "A" * 22 + "==\r\n", "GET", "/ws")
    for _ in range(number // 100):
        s.sendall((b"\x89\xfd" + bytes(4) + b"p" * 125) * 100)
    pathlib.Path(ready).touch()
    wait_for_the_end([s])


def halves(name):
    first = attach(name)
    first.shutdown(socket.SHUT_WR)
    c = http.client.HTTPConnection("d")
    c.sock = connect()
    c.request("GET", "/_ping")
    c.getresponse().read()
    second = attach(name)
    second.sendall(b"hi\n")
    print(second.recv(8 + 3, socket.MSG_WAITALL)[8:].decode(), end="")


def swap():
    libc, here, exchange = ctypes.CDLL(None), -100, 2
    while pathlib.Path(path).parent.is_dir():
        for _ in range(1000):
            libc.renameat2(here, path.encode(), here, ready.encode(), exchange)


if what == "swap":
    swap()
if what == "churn":
    churn()
else:
    {"stall": stall, "pings": pings, "halves": halves}[what](sys.argv[5])
