#!/usr/bin/env python3
"""buildkit_idle.py BUILD: the process for BuildKit's clients ends when nobody is there, and the next one loses nobody.

The worker runs as the daemon starts it, but with a wait of its own: a connection that comes while no process is there waits in
the listening socket for the one that comes.
"""
import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile

WORKER = os.path.join(sys.argv[1], "src/worker/wherry-worker")


def start(listening):
    """Its process, and what it says to the daemon, line by line."""
    ours, theirs = socket.socketpair()
    high = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD_CLOEXEC, 10) for s in (theirs, listening)]
    theirs.close()
    process = subprocess.Popen(["bash", "-c", f'exec 3<&{high[0]} 4<&{high[1]}; exec "$0" buildkit', WORKER], pass_fds=high)
    for fd in high:
        os.close(fd)
    ours.settimeout(60)
    ours.sendall(json.dumps({"idle_ms": 100}).encode() + b"\n")
    lines = ours.makefile()
    assert json.loads(lines.readline()) == {"ready": True}
    return process, ours, lines


def end(process, ours, lines):
    assert json.loads(lines.readline()) == {"result": {}}
    assert process.wait(60) == 0
    lines.close()
    ours.close()


def client(path):
    c = socket.socket(socket.AF_UNIX)
    c.settimeout(60)
    c.connect(path)
    c.sendall(b"this is no head\n")
    return c


with tempfile.TemporaryDirectory(prefix="wherry-idle.") as top, socket.socket(socket.AF_UNIX) as listening:
    listening.bind(top + "/build.sock")
    listening.listen(8)
    for _ in range(2):
        with client(top + "/build.sock") as c:  # nobody is there yet
            worker = start(listening)
            assert c.recv(1) == b""  # it was heard, and refused
        end(*worker)
