#!/usr/bin/env python3
"""shim_client.py SHIM DIR CRUN - starts a wherry-shim for an exec that uses the program CRUN, says GO and prints the names of the
frames that come until it ends; the text of a FAILED. For restart.bats; frames: src/codec/shim_frame.h."""
import os, socket, struct, subprocess, sys

shim, directory, crun = sys.argv[1:]
NAMES = {22: "READY", 23: "STARTED", 24: "FAILED", 25: "EXITED"}
listener = socket.socket(socket.AF_UNIX)
listener.bind(f"{directory}/shim.sock")
listener.listen()
os.dup2(listener.fileno(), 3)
child = subprocess.Popen([shim, f"--parent={os.getpid()}", "--id=alone", f"--dir={directory}", f"--crun={crun}", "--crun-root=/nonexistent",
                          "--exec=/nonexistent"], pass_fds=[3])
os.close(3)
listener.close()
s = socket.socket(socket.AF_UNIX)
s.connect(f"{directory}/shim.sock")
s.settimeout(100)


def send(kind):
    s.sendall(struct.pack(">B3xI", kind, 0))


def receive(n):
    data = b""
    while len(data) < n:
        piece = s.recv(n - len(data))
        if not piece:
            return None
        data += piece
    return data


send(16)
while head := receive(8):
    kind, length = struct.unpack(">B3xI", head)
    payload = receive(length) if length else b""
    print(f"{NAMES.get(kind, kind)} {payload.decode() if kind == 24 else ''}".strip(), flush=True)
    if kind == 22:
        send(21)
child.wait(100)
