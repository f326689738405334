#!/usr/bin/env python3
"""kill_relay.py ENGINE N COMMAND... - runs COMMAND against the engine's socket, and kills it at its N-th change.

The command talks to a socket of ours (WHERRY_HOST, DOCKER_HOST). Once the engine has answered the N-th request that changes something (POST, PUT,
DELETE), the command gets SIGKILL instead of the answer. Exit status: 0 killed, 3 it ended by itself before that.
"""
import os, socket, subprocess, sys, tempfile, threading

engine, wanted, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
lock, count, killed = threading.Lock(), 0, threading.Event()


def is_last(data):
    """Is this the N-th change?"""
    global count
    if not data.startswith((b"POST ", b"PUT ", b"DELETE ")):
        return False
    with lock:
        count += 1
        return count == wanted


def serve(client):
    upstream = socket.socket(socket.AF_UNIX)
    upstream.connect(engine)
    last = threading.Event()

    def answers():
        while data := upstream.recv(65536):
            if last.is_set():
                child.kill()
                killed.set()
                return
            client.sendall(data)

    threading.Thread(target=answers, daemon=True).start()
    try:
        while data := client.recv(65536):
            if is_last(data):
                last.set()
            upstream.sendall(data)
    except OSError:
        pass


with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)

    def accept():
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    child = subprocess.Popen(command, env={**os.environ, "WHERRY_HOST": "unix://" + path, "DOCKER_HOST": "unix://" + path}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    child.wait()
sys.exit(0 if killed.is_set() else 3)
