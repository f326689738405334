#!/usr/bin/python3
"""disk.py MOUNTPOINT SIZE_MB - a disk with a volatile cache: MOUNTPOINT/disk for a loop device, and power cuts of it.

The file's bytes pass through here (FUSE, linux/fuse.h 7.31, spoken by hand). What was written since the last fsync is what
a disk's cache would hold. A line "cut PATH SEED" on standard input writes to PATH what a disk may hold after a power cut at
this instant: all that was synced, and of the rest, by chance, nothing, all, the first of it, or any of it. "end" ends.
"""
import os, random, select, struct, subprocess, sys, threading, time

IN = struct.Struct("<IIQQIIIHH")
OUT = struct.Struct("<IiQ")
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, ACCESS, \
    DESTROY, BATCH_FORGET = 1, 2, 3, 4, 14, 15, 16, 17, 18, 20, 25, 26, 27, 28, 29, 34, 38, 42
MAX_WRITE = 128 << 10


class Disk:
    def __init__(self, size):
        self.size = size
        self.data = bytearray(size)     # as the kernel sees it
        self.stable = bytearray(size)   # what is on the platter
        self.pending = []               # (offset, bytes) since the last sync, in order

    def write(self, offset, data):
        self.data[offset:offset + len(data)] = data
        self.pending.append((offset, bytes(data)))

    def sync(self):
        for offset, data in self.pending:
            self.stable[offset:offset + len(data)] = data
        self.pending = []

    def cut(self, path, seed):
        r = random.Random(seed)
        how = r.choice(["none", "all", "first", "any"])
        keep = {"none": [], "all": self.pending, "first": self.pending[:r.randint(0, len(self.pending))],
                "any": [w for w in self.pending if r.random() < 0.5]}[how]
        with open(path, "wb") as f:
            f.truncate(self.size)
            step = 1 << 20
            zero = bytes(step)
            for at in range(0, self.size, step):
                part = self.stable[at:at + step]
                if part != zero:
                    f.seek(at)
                    f.write(part)
            for offset, data in keep:
                f.seek(offset)
                f.write(data)
        return f"{how} {len(keep)}/{len(self.pending)}"


def attr(ino, size, is_dir):
    mode = 0o40755 if is_dir else 0o100600
    return struct.pack("<QQQQQQIIIIIIIIII", ino, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def entry(size):
    return struct.pack("<QQQQII", 2, 1, 3600, 3600, 0, 0) + attr(2, size, False)


def answer(disk, opcode, node, body):
    """(errno, reply) or None for no reply."""
    if opcode == INIT:
        major, minor, ahead, flags = struct.unpack_from("<IIII", body)
        return 0, struct.pack("<IIIIHHIIHHIIIIII", 7, 31, ahead, flags & (1 | 1 << 5), 16, 12, MAX_WRITE, 1, 0, 0, 0, 0, 0, 0, 0, 0)
    if opcode in (FORGET, BATCH_FORGET):
        return None
    if opcode == LOOKUP:
        return (0, entry(disk.size)) if body.rstrip(b"\0") == b"disk" else (2, b"")
    if opcode in (GETATTR, SETATTR):
        return 0, struct.pack("<QII", 3600, 0, 0) + attr(node, disk.size if node == 2 else 0, node == 1)
    if opcode in (OPEN, OPENDIR):
        return 0, struct.pack("<QII", 1, 0, 0)
    if opcode == READ:
        _, offset, size = struct.unpack_from("<QQI", body)
        return 0, bytes(disk.data[offset:offset + size])
    if opcode == WRITE:
        _, offset, size = struct.unpack_from("<QQI", body)
        disk.write(offset, body[40:40 + size])
        return 0, struct.pack("<II", size, 0)
    if opcode == FSYNC:
        disk.sync()
        return 0, b""
    if opcode == STATFS:
        return 0, struct.pack("<QQQQQIIII24x", 1, 0, 0, 2, 0, 4096, 255, 4096, 0)
    if opcode in (FLUSH, RELEASE, RELEASEDIR, ACCESS, READDIR, DESTROY):
        return 0, b""
    return 38, b""


def main():
    where, size = sys.argv[1], int(sys.argv[2]) << 20
    fd = os.open("/dev/fuse", os.O_RDWR)
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"powercut", where.encode(), b"fuse", 0, options) != 0:
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    disk = Disk(size)
    print("ready", flush=True)
    commands = b""
    while True:
        ready, _, _ = select.select([fd, 0], [], [])
        if 0 in ready:
            got = os.read(0, 65536)
            commands += got
            *lines, commands = commands.split(b"\n")
            for line in lines:
                words = line.decode().split()
                if words[0] == "cut":
                    print(disk.cut(words[1], words[2]), flush=True)
            if not got or b"end" in lines:
                return
        if fd in ready:
            try:
                request = os.read(fd, MAX_WRITE + 4096)
            except OSError as e:
                if e.errno == 19:  # unmounted
                    return
                continue
            _, opcode, unique, node, *_ = IN.unpack_from(request)
            got = answer(disk, opcode, node, memoryview(request)[IN.size:] if opcode == WRITE else request[IN.size:])
            if got is not None:
                errno, reply = got
                os.write(fd, OUT.pack(OUT.size + len(reply), -errno, unique) + reply)


main()
