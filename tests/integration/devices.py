#!/usr/bin/env python3
"""What devices.bats does with the kernel, as root.

plug WORKER PID REQUEST    the job "plug" alone; prints its answer
plug-often WORKER PID GROUP PATH N   puts a node there and takes it away, N times; fails when one has no answer
plug-ended WORKER REQUEST  the same with a process that has ended and was waited for
loop add|remove N          the device /dev/loopN, with the kernel's events
fuse PID PATH              mounts a file system that never answers in the mount namespace of PID; says "mounted", stays until
                           its input ends
listen PID FILE            udevd's messages in the network namespace of PID, each as one line of JSON in FILE, as libudev
                           takes them; says "listens", stays until its input ends
"""
import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys

LOOP_CTL_ADD, LOOP_CTL_REMOVE = 0x4C80, 0x4C81
libc = ctypes.CDLL(None, use_errno=True)


def enter(pid, kind):
    fd = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
    if libc.setns(fd, 0) < 0:
        raise OSError(ctypes.get_errno(), f"setns {kind}")


def plug(worker, pid, request):
    print(run_plug(worker, os.pidfd_open(int(pid)), request))


def plug_often(worker, pid, group, path, times):
    pidfd = os.pidfd_open(int(pid))
    node = {"path": path, "type": "c", "major": 188, "minor": 3, "mode": 0o660}
    for n in range(2 * int(times)):
        answer = run_plug(worker, pidfd, json.dumps({"cgroup": group, ("add", "remove")[n % 2]: [node]}))
        if "result" not in json.loads(answer):
            sys.exit(answer)


def plug_ended(worker, request):
    child = subprocess.Popen(["sleep", "1000"])
    pidfd = os.pidfd_open(child.pid)
    child.kill()
    child.wait()
    print(run_plug(worker, pidfd, request))


def run_plug(worker, pidfd, request):
    ours, theirs = socket.socketpair()
    command = ["sh", "-c", f'exec 3<&{theirs.fileno()} 4<&{pidfd}; exec "$0" plug', worker]
    child = subprocess.Popen(command, pass_fds=[theirs.fileno(), pidfd])
    theirs.close()
    ours.sendall(request.encode() + b"\n")
    answer = ours.makefile().read().splitlines()[-1]
    child.wait()
    return answer


def loop(verb, number):
    with open("/dev/loop-control", "rb") as control:
        fcntl.ioctl(control, LOOP_CTL_ADD if verb == "add" else LOOP_CTL_REMOVE, int(number))


def stay(word):
    print(word, flush=True)
    sys.stdin.read()


def fuse(pid, path):
    fd = os.open("/dev/fuse", os.O_RDWR)
    enter(pid, "mnt")
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"evil", path.encode(), b"fuse", 0, options) < 0:
        raise OSError(ctypes.get_errno(), "mount")
    stay("mounted")


def properties(message):
    magic, big, header, offset, size = struct.unpack("8sIIII", message[:24])
    if magic != b"libudev\0" or big != struct.unpack("=I", struct.pack(">I", 0xFEEDCAFE))[0]:
        raise ValueError(message)
    words = message[offset:offset + size].rstrip(b"\0").split(b"\0")
    return dict(word.decode().split("=", 1) for word in words)


def listen(pid, path):
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    enter(pid, "net")
    heard = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
    heard.bind((0, 2))
    libc.setns(home, 0)
    print("listens", flush=True)
    os.set_blocking(0, False)
    import select
    with open(path, "w", buffering=1) as out:
        while True:
            ready, _, _ = select.select([heard, 0], [], [])
            if 0 in ready:
                return
            out.write(json.dumps(properties(heard.recv(65536))) + "\n")


{"plug": plug, "plug-ended": plug_ended, "plug-often": plug_often, "loop": loop, "fuse": fuse, "listen": listen}[sys.argv[1]](*sys.argv[2:])
