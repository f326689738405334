#!/usr/bin/python3
"""mdns_names.py WHERRY-MDNS DIR, inside mdns_lab.sh DIR: plays the daemon for wherry-mdns and asks for its names from the other end of
the link."""
import json
import os
import queue
import socket
import subprocess
import sys
import threading

program, lab = sys.argv[1], sys.argv[2]
here = os.path.dirname(os.path.abspath(__file__))
peer = ["nsenter", "--net", "--target", open(f"{lab}/peer.pid").read().strip(), "python3"]
ours, theirs = socket.socketpair()
if os.fork() == 0:
    os.dup2(theirs.fileno(), 3)
    os.execv(program, [program, "mdns"])
theirs.close()
said = queue.Queue()
threading.Thread(target=lambda: [said.put(json.loads(line)) for line in ours.makefile()], daemon=True).start()


def avahi(word):
    subprocess.check_call([f"{lab}/avahi", word])


def want(hosts, addresses=("192.0.2.1", "2001:db8:1::1")):
    index = socket.if_nametoindex("lan0")
    wish = {"hosts": hosts, "addresses": [{"address": a, "index": index} for a in addresses]}
    ours.sendall(json.dumps(wish).encode() + b"\n")


def heard(**wanted):
    """What it says until it says this; a test that waits too long is ended by its runner."""
    while True:
        msg = said.get()
        print("said", msg, flush=True)
        if all(msg.get(k) == v for k, v in wanted.items()):
            return msg


def asked(name, expected):
    """Asks until the answer is this."""
    while True:
        out = subprocess.run(peer + [f"{here}/mdns_ask.py", "192.0.2.2", name], capture_output=True, text=True)
        print("asked", name, out.stdout.split(), out.stderr, flush=True)
        if out.stdout.split() == expected:
            return


both = ["192.0.2.1", "2001:db8:1::1"]
want(["app.box.local", "box.local"])
assert "avahi-daemon does not run" in heard(state="missing")["error"]
avahi("up")
heard(state="running")
heard(host="app.box.local", state="published")
asked("app.box.local", both)
asked("box.local", both)  # avahi's own

want(["app.box.local", "two.box.local"])
heard(host="two.box.local", state="published")
asked("two.box.local", both)

avahi("down")
heard(state="missing")
asked("app.box.local", [])
avahi("up")
heard(host="app.box.local", state="published")
asked("app.box.local", both)

want(["app.box.local"], both[:1])
asked("two.box.local", [])
asked("app.box.local", ["192.0.2.1"])

# another machine has a name already, then gives it up
other = subprocess.Popen(peer + [f"{here}/mdns_ask.py", "--own", "192.0.2.2", "taken.box.local"], stdout=subprocess.PIPE)
other.stdout.readline()
want(["app.box.local", "taken.box.local"], both[:1])
heard(host="taken.box.local", state="collision")
other.kill()
asked("app.box.local", ["192.0.2.1"])
print("all is well")
