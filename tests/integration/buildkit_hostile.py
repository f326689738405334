#!/usr/bin/python3
"""Clients of POST /grpc and /session that are no good: each is refused or dropped, and the next honest one is served.

Usage: buildkit_hostile.py SOCKET. Only the standard library; tests/unit/grpc/bad_peers.c has the same at one connection's level.
"""
import os
import socket
import struct
import sys

SOCK = sys.argv[1]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, data=b""):
    return struct.pack(">I", len(data))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + data


def header(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def head(path, more=b""):
    return (header(b":method", b"POST") + header(b":scheme", b"http") + header(b":path", path) + header(b":authority", b"x")
            + header(b"content-type", b"application/grpc") + more)


def connect(path="/grpc", extra=""):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(120)
    s.connect(SOCK)
    s.sendall((f"POST {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n{extra}\r\n").encode())
    return s


def upgraded(path="/grpc", extra=""):
    s = connect(path, extra)
    got = b""
    while b"\r\n\r\n" not in got:
        piece = s.recv(1)
        assert piece, got
        got += piece
    assert got.startswith(b"HTTP/1.1 101 "), got
    return s


def ended(s):
    """Reads until the engine closes; a hang is the timeout's failure."""
    try:
        while s.recv(65536):
            pass
    except ConnectionError:
        pass
    s.close()


def flood(s, data, times):
    try:
        for _ in range(times):
            s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    ended(s)


def main():
    connect().close()  # gone before the answer
    upgraded().close()  # a probe
    upgraded("/session").close()
    s = connect(extra="")  # what comes too early is not lost and not trusted
    s.sendall(PREFACE + frame(4, 0, 0) + os.urandom(3000))
    s.shutdown(socket.SHUT_WR)
    ended(s)
    flood(upgraded(), os.urandom(4000), 1)
    flood(upgraded(), b"GET / HTTP/1.1\r\n\r\n", 1)
    flood(upgraded(), PREFACE + frame(4, 0, 0)[:5], 1)
    flood(upgraded("/session", "X-Docker-Expose-Session-Uuid: a\r\n"), os.urandom(4000), 1)
    flood(upgraded("/session"), frame(4, 0, 0) + frame(7, 0, 0, b"\0" * 8), 1)
    start = PREFACE + frame(4, 0, 0)
    for kind, flags, data in ((6, 0, b"12345678"), (4, 0, b"\0\3\0\0\0\x64")):  # PING, SETTINGS
        s = upgraded()
        s.sendall(start)
        flood(s, frame(kind, flags, 0, data) * 500, 400)
    s = upgraded()  # CVE-2023-44487
    s.sendall(start)
    try:
        for i in range(1, 20000, 2):
            s.sendall(frame(1, 4, i, head(b"/moby.buildkit.v1.Control/Status")) + frame(3, 0, i, b"\0\0\0\x08"))
    except OSError:
        pass
    ended(s)
    s = upgraded()  # a head that does not end
    flood(s, start + frame(1, 0, 1, head(b"/x")) + frame(9, 0, 1, header(b"name", b"x" * 100) * 50) * 100, 1)
    flood(upgraded(), start + frame(1, 5, 1, head(b"/moby.buildkit.v1.Control/Info", header(b"name", b"x" * 120) * 120)), 1)
    many = b"".join(frame(1, 4, 2 * i + 1, head(b"/moby.buildkit.v1.Control/Solve")) for i in range(1000))
    flood(upgraded(), start + many, 1)
    for body in (b"\1\0\0\0\1x", b"\0\xff\xff\xff\xff", b"\0\0\0\0\5ab", b"\0\0\0\0\3\xff\xff\xff"):
        flood(upgraded(), start + frame(1, 4, 1, head(b"/moby.buildkit.v1.Control/Solve")) + frame(0, 1, 1, body), 1)
    # a client that goes in the middle of a build's life
    ref = b"\x0a\x04gone"
    for body in (ref, ref + b"\x32\x0ddockerfile.v0", ref + b"\x2a\x04none\x32\x0ddockerfile.v0"):
        s = upgraded()
        s.sendall(start + frame(1, 4, 1, head(b"/moby.buildkit.v1.Control/Solve")) + frame(0, 1, 1, b"\0" + struct.pack(">I", len(body)) + body))
        s.close()


main()
