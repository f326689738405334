#!/usr/bin/python3
"""worker_job.py WORKER JOB < request.json: does one job of wherry-worker as the daemon would; prints what it answers last.

Status 1 when the job failed."""
import json
import os
import socket
import sys

ours, theirs = socket.socketpair()
pid = os.fork()
if pid == 0:
    os.dup2(theirs.fileno(), 3)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.execv(sys.argv[1], [sys.argv[1], sys.argv[2]])
theirs.close()
ours.sendall(json.dumps(json.load(sys.stdin)).encode() + b"\n")
last = None
for line in ours.makefile():
    last = json.loads(line)
os.waitpid(pid, 0)
if not last or "result" not in last:
    print(json.dumps(last))
    sys.exit(1)
print(json.dumps(last["result"]))
