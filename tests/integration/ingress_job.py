#!/usr/bin/env python3
"""ingress_job.py WORKER DIR - the job "ingress" alone, with configurations of its own: what a daemon meets seldom.

Prints one line a case. nginx is a copy of the machine's, so that it can be replaced under its processes."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

WORKER, TOP = sys.argv[1:3]
DIR, RUN, NGINX = TOP + "/data", TOP + "/run", TOP + "/nginx"


def free_port():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return s.getsockname()[1]


PORT = free_port()


def job(**request):
    ours, theirs = socket.socketpair()
    request = {"dir": DIR, "run": RUN, "program": NGINX} | request
    worker = subprocess.Popen(
        [WORKER, "ingress"], stdin=subprocess.DEVNULL, close_fds=False, preexec_fn=lambda: os.dup2(theirs.fileno(), 3)
    )
    theirs.close()
    ours.sendall((json.dumps(request) + "\n").encode())
    answer = b""
    while data := ours.recv(65536):
        answer += data
    worker.wait()
    return json.loads(answer.splitlines()[-1])


def config(generation, body, more=""):
    temp = "".join(f"{kind}_temp_path {RUN}/tmp/{kind}; " for kind in "client_body proxy fastcgi uwsgi scgi".split())
    return f"""user www-data; worker_processes 1; pid {RUN}/nginx.pid; error_log {DIR}/log/error.log;
events {{ worker_connections 64; }}
http {{ access_log off; {temp}
server {{ listen unix:{RUN}/status.sock; location = / {{ return 200 "{generation}\\n"; }} }}
server {{ listen 127.0.0.1:{PORT}; {more} location / {{ return 200 "{body}"; }} }} }}"""


def serve(generation, body, more="", **request):
    port = {"address": "127.0.0.1", "port": PORT, "udp": False}
    return job(generation=generation, config=config(generation, body, more), files={}, ports=[port], **request)


def get():
    s = socket.create_connection(("127.0.0.1", PORT), 60)
    s.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
    answer = b""
    while data := s.recv(4096):
        answer += data
    return answer.partition(b"\r\n\r\n")[2].decode()


def master():
    with open(RUN + "/nginx.pid") as f:
        return int(f.read())


def wait_gone(pid):
    for _ in range(6000):
        try:
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rpartition(")")[2].split()[0] in "ZX":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.01)
    raise AssertionError(f"{pid} does not end")


def check(name, truth, seen=None):
    assert truth, f"{name}: {seen}"
    print("ok", name)


def cases():
    r = serve(1, "one", program=TOP + "/none")
    check("says what to install", "nginx is not installed: apt-get install nginx" in r["error"]["message"], r)
    r = serve(1, "one")
    check("starts", r.get("result", {}).get("pid") == master() and get() == "one", r)
    first = master()
    r = serve(2, "two")
    check("reloads in the same process", r["result"]["pid"] == first and get() == "two", r)
    check("keeps one generation", sorted(os.listdir(DIR + "/conf")) == ["2", "current"], os.listdir(DIR + "/conf"))
    r = serve(2, "two")
    check("does nothing for the same", r["result"]["ms_reload"] == 0 and r["result"]["pid"] == first, r)

    r = serve(3, "three", "bogus on;")
    words = r["error"]["message"]
    check("says nginx's words", 'unknown directive "bogus"' in words and get() == "two", r)
    check("leaves the last good one", os.readlink(DIR + "/conf/current") == "2" and not os.path.exists(DIR + "/conf/3"))

    other = socket.socket()
    other.bind(("127.0.0.1", 0))
    other.listen()
    number = other.getsockname()[1]
    r = job(generation=4, config=config(4, "four"), files={}, ports=[{"address": "127.0.0.1", "port": number, "udp": False}])
    by = r["result"]["taken"][0]["by"]
    check("names who has a port", re.fullmatch(rf"python3\S* \(pid {os.getpid()}\)", by) and get() == "two", r)
    other.close()

    os.kill(first, signal.SIGKILL)
    wait_gone(first)
    r = serve(5, "five")
    check("ends what a killed master left", r["result"]["pid"] != first and get() == "five", r)

    current = master()
    os.kill(current, signal.SIGKILL)
    wait_gone(current)
    r = serve(6, "six", "bogus on;")
    check("starts the last good one", "bogus" in r["error"]["message"] and get() == "five", r)

    old = master()
    shutil.copy(NGINX, NGINX + ".new")
    os.rename(NGINX + ".new", NGINX)
    r = serve(7, "seven")
    check("follows an upgrade", r["result"]["pid"] == master() != old and get() == "seven", r)
    wait_gone(old)

    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=1", "full", DIR + "/conf"], check=True)
    try:
        r = serve(8, "eight")
    finally:
        subprocess.run(["umount", DIR + "/conf"], check=True)
    check("says that the disk is full", "No space left" in r.get("error", {}).get("message", "") and get() == "seven", r)

    log = DIR + "/log/error.log"
    with open(log, "ab") as f:
        f.write(b"x" * 5000)
    before = os.stat(log).st_ino
    r = job(turn=4096)
    turned = os.stat(log + ".1").st_ino == before
    for _ in range(6000):  # nginx makes the next one when it has the signal
        if os.path.exists(log):
            break
        time.sleep(0.01)
    check("turns logs", turned and os.stat(log).st_size < 4096 and get() == "seven", r)

    r = job(stop=True)
    try:
        get()
        ended = False
    except ConnectionRefusedError:
        ended = True
    check("stops", ended, r)
    r = serve(9, "nine", archive=True)
    kept = [d for d in os.listdir(DIR + "/log") if re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", d)]
    check("starts again, with the logs of before apart", get() == "nine" and len(kept) == 1, r)


os.makedirs(TOP, exist_ok=True)
os.chmod(TOP, 0o711)
shutil.copy("/usr/sbin/nginx", NGINX)
try:
    cases()
finally:
    try:
        last = master()
        job(stop=True)
        wait_gone(last)
    except FileNotFoundError:
        pass
