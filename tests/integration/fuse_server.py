#!/usr/bin/env python3
"""fuse_server.py DIRECTORY - a file system whose server can be made to be away: FUSE's protocol by hand (include/uapi/linux/fuse.h).

One file "file" ("served\\n") and whatever is made in the directory. SIGUSR1: requests are read and not answered, so that who waits for them
cannot even be killed, as with a hard mount of NFS; SIGUSR2: they are answered after all, and so are new ones. It is unmounted at SIGTERM.
"""
import ctypes
import errno
import os
import signal
import struct
import sys
import time

LOOKUP, FORGET, GETATTR, SETATTR = 1, 2, 3, 4
OPEN, READ, WRITE, STATFS, RELEASE, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, ACCESS, CREATE, DESTROY = (
    14, 15, 16, 17, 18, 25, 26, 27, 28, 29, 34, 35, 38)
ROOT = 1
libc = ctypes.CDLL(None, use_errno=True)
files = {2: ["file", bytearray(b"served\n")]}
held = []
away = False


def attr(node):
    size = 0 if node == ROOT else len(files[node][1])
    mode = 0o40777 if node == ROOT else 0o100666
    now = int(time.time())
    return struct.pack("<QQQQQQIIIIIIIIII", node, size, 0, now, now, now, 0, 0, 0, mode, 2 if node == ROOT else 1, 0, 0, 0, 4096, 0)


def entry(node):
    return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + attr(node)


def find(name):
    return next((n for n in files if files[n][0] == name), None)


def directory(offset, size):
    out = b""
    names = [(ROOT, ".", 4), (ROOT, "..", 4)] + [(n, files[n][0], 8) for n in sorted(files)]
    for i, (node, name, kind) in enumerate(names):
        raw = name.encode()
        one = struct.pack("<QQII", node, i + 1, len(raw), kind) + raw
        one += b"\0" * (-len(one) % 8)
        if i >= offset and len(out) + len(one) <= size:
            out += one
    return out


def answer(op, node, body):
    """The reply's bytes, or the number of an error; None: there is none."""
    if op == INIT:
        return struct.pack("<IIIIHHIIHHI", 7, 31, 65536, 0, 12, 10, 65536, 1, 16, 0, 0) + b"\0" * 24
    if op == FORGET:
        return None
    if op == LOOKUP:
        found = find(body[:-1].decode())
        return entry(found) if found else errno.ENOENT
    if op in (GETATTR, SETATTR):
        if op == SETATTR and struct.unpack_from("<I", body)[0] & 8:
            size = struct.unpack_from("<Q", body, 16)[0]
            files[node][1][size:] = b"\0" * max(0, size - len(files[node][1]))
        return struct.pack("<QII", 0, 0, 0) + attr(node)
    if op in (OPEN, OPENDIR):
        return struct.pack("<QII", 0, 1, 0)  # FOPEN_DIRECT_IO: each read is asked for
    if op == CREATE:
        name = body[16:-1].decode()
        made = find(name) or max(files) + 1
        files[made] = [name, bytearray()]
        return entry(made) + struct.pack("<QII", 0, 1, 0)
    if op == READ:
        offset, size = struct.unpack_from("<QI", body, 8)
        return bytes(files[node][1][offset:offset + size])
    if op == WRITE:
        offset, size = struct.unpack_from("<QI", body, 8)
        files[node][1][offset:offset + size] = body[40:40 + size]
        return struct.pack("<II", size, 0)
    if op == READDIR:
        offset, size = struct.unpack_from("<QI", body, 8)
        return directory(offset, size)
    if op == STATFS:
        return struct.pack("<QQQQQIIII", 1000, 900, 900, 100, 90, 4096, 255, 4096, 0) + b"\0" * 24
    if op in (RELEASE, RELEASEDIR, FLUSH, ACCESS, DESTROY):
        return b""
    return errno.ENOSYS


def reply(fd, request):
    _, op, unique, node = struct.unpack_from("<IIQQ", request)
    out = answer(op, node, request[40:])
    if out is None:
        return
    failed = out if isinstance(out, int) else 0
    out = b"" if failed else out
    try:
        os.write(fd, struct.pack("<IiQ", 16 + len(out), -failed, unique) + out)
    except OSError as e:
        if e.errno != errno.ENOENT:  # who asked has gone
            raise


def main():
    global away
    where = sys.argv[1]
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"wherry-test", where.encode(), b"fuse", 6, options) < 0:
        sys.exit(f"cannot mount {where}: {os.strerror(ctypes.get_errno())}")

    def switch(signum, _):
        global away
        away = signum == signal.SIGUSR1
        while not away and held:
            reply(fd, held.pop(0))

    def end(*_):
        libc.umount2(where.encode(), 2)
        os._exit(0)

    signal.signal(signal.SIGUSR1, switch)
    signal.signal(signal.SIGUSR2, switch)
    signal.signal(signal.SIGTERM, end)
    blocked = {signal.SIGUSR1, signal.SIGUSR2}
    while True:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        try:
            request = os.read(fd, 1 << 20)
        except OSError as e:
            if e.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                continue
            return  # ENODEV: it was unmounted
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        op = struct.unpack_from("<I", request, 4)[0]
        if away and op not in (FORGET, INIT):
            held.append(request)
            print("held", struct.unpack_from("<I", request, 32)[0], flush=True)  # whose it is
        else:
            reply(fd, request)


main()
