#!/usr/bin/env python3
"""What devices.bats does with the kernel, as root.

plug WORKER PID REQUEST    the job "plug" alone; prints its answer
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
    ours, theirs = socket.socketpair()
    pidfd = os.pidfd_open(int(pid))
    command = ["sh", "-c", f'exec 3<&{theirs.fileno()} 4<&{pidfd}; exec "$0" plug', worker]
    child = subprocess.Popen(command, pass_fds=[theirs.fileno(), pidfd])
    theirs.close()
    ours.sendall(request.encode() + b"\n")
    print(ours.makefile().read().splitlines()[-1])
    child.wait()


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


{"plug": plug, "loop": loop, "fuse": fuse, "listen": listen}[sys.argv[1]](*sys.argv[2:])
