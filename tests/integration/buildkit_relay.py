#!/usr/bin/python3
"""A BuildKit client that is not ours: python3-grpcio through a relay that does the upgrade.

Usage: buildkit_relay.py SOCKET TEST; each TEST is a function below. gRPC of another make (C core) speaks with our
server, and for sessions our client speaks with its server. Messages are made by hand, field by field.
"""
import os
import socket
import sys
import tempfile
import threading
import uuid

import grpc

SOCK = sys.argv[1]


# --- protobuf, as much as is needed ---

def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def pair(number, key, value):
    return field(number, field(1, key) + field(2, value))


def fields(data):
    """[(number, value)]: value an int or bytes."""
    out, i = [], 0

    def number():
        nonlocal i
        n = shift = 0
        while True:
            n |= (data[i] & 127) << shift
            shift += 7
            i += 1
            if data[i - 1] < 128:
                return n
    while i < len(data):
        tag = number()
        if tag & 7 == 0:
            out.append((tag >> 3, number()))
        else:
            n = number()
            out.append((tag >> 3, data[i:i + n]))
            i += n
    return out


def get(data, number):
    return [v for n, v in fields(data) if n == number]


# --- upgraded connections ---

def upgrade(path, headers=()):
    s = socket.socket(socket.AF_UNIX)
    s.connect(SOCK)
    lines = [f"POST {path} HTTP/1.1", "Host: d", "Connection: Upgrade", "Upgrade: h2c"]
    lines += [f"{k}: {v}" for k, v in headers]
    s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        piece = s.recv(1)  # what follows is not ours to read
        assert piece, head
        head += piece
    assert head.startswith(b"HTTP/1.1 101 "), head
    return s


def pump(a, b):
    try:
        while True:
            data = a.recv(65536)
            if not data:
                break
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def join(a, b):
    for x, y in ((a, b), (b, a)):
        threading.Thread(target=pump, args=(x, y), daemon=True).start()


def channel():
    """A gRPC channel to POST /grpc: each connection of it is upgraded."""
    path = tempfile.mktemp(prefix="buildkit-relay-")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)

    def accept():
        while True:
            c, _ = listener.accept()
            join(c, upgrade("/grpc"))
    threading.Thread(target=accept, daemon=True).start()
    ch = grpc.insecure_channel("unix:" + path)
    grpc.channel_ready_future(ch).result(60)
    os.unlink(path)
    return ch


def unary(ch, method, request=b"", metadata=()):
    return ch.unary_unary(method)(request, metadata=metadata, timeout=120)


CONTROL = "/moby.buildkit.v1.Control/"
BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge/"


# --- a session: what the engine asks of its client ---

class Session:
    """Serves one context by Upload/Pull, and counts what it is asked."""

    def __init__(self, tar=b""):
        self.id = uuid.uuid4().hex
        self.asked = []
        outer = self

        class Handler(grpc.GenericRpcHandler):
            def service(self, details):
                outer.asked.append((details.method, dict(details.invocation_metadata)))
                if details.method == "/moby.upload.v1.Upload/Pull":
                    return grpc.stream_stream_rpc_method_handler(
                        lambda requests, context: (field(1, tar[i:i + 30000]) for i in range(0, len(tar), 30000)))
                return None
        from concurrent import futures
        self.server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Handler()])
        self.path = tempfile.mktemp(prefix="buildkit-session-")
        self.server.add_insecure_port("unix:" + self.path)
        self.server.start()
        ours = socket.socket(socket.AF_UNIX)
        ours.connect(self.path)
        self.engine = upgrade("/session", [("X-Docker-Expose-Session-Uuid", self.id),
                                           ("X-Docker-Expose-Session-Name", "t"),
                                           ("X-Docker-Expose-Session-Grpc-Method", "/moby.upload.v1.Upload/Pull")])
        join(self.engine, ours)

    def close(self):
        self.engine.shutdown(socket.SHUT_RDWR)
        self.server.stop(0)


def tar_of(files):
    import io
    import tarfile
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            t.addfile(info, io.BytesIO(text))
    return out.getvalue()


def solve_request(ref, session, attrs, frontend="dockerfile.v0", name=None):
    q = field(1, ref) + field(5, session) + field(6, frontend)
    if name:
        q += field(13, field(1, "moby") + pair(2, "name", name))
    for k, v in attrs.items():
        q += pair(7, k, v)
    return q


UPLOAD = {"context": "http://buildkit-session/tar"}


# --- tests ---

def workers():
    ch = channel()
    record = get(unary(ch, CONTROL + "ListWorkers"), 1)[0]
    platform = get(record, 3)[0]
    assert get(platform, 2) == [b"linux"], platform
    assert get(unary(ch, CONTROL + "Info"), 1)
    assert get(unary(ch, "/grpc.health.v1.Health/Check"), 1) == [1]


def solve():
    """Control.Solve with the frontend in it, its status beside it."""
    ch, s, ref = channel(), Session(tar_of({"Dockerfile": b"FROM bb\nCOPY f /f\nRUN cat /f\n", "f": b"from the session\n"})), uuid.uuid4().hex
    done = ch.unary_unary(CONTROL + "Solve").future(solve_request(ref, s.id, UPLOAD, name="kit:solved"), timeout=120)
    events = list(ch.unary_stream(CONTROL + "Status")(field(1, ref), timeout=120))
    response = {get(p, 1)[0]: get(p, 2)[0] for p in get(done.result(), 1)}
    assert response[b"containerimage.digest"].startswith(b"sha256:"), response
    vertices = [v for e in events for v in get(e, 1)]
    assert all(get(v, 3) for v in vertices), "a vertex without a name"
    logs = b"".join(get(l, 4)[0] for e in events for l in get(e, 3))
    assert b"from the session" in logs, logs
    assert ("/moby.upload.v1.Upload/Pull", "/tar") in [(m, d.get("urlpath")) for m, d in s.asked], s.asked
    # asked for again, the status of a build that is over is the same
    assert list(ch.unary_stream(CONTROL + "Status")(field(1, ref), timeout=120)) == events
    s.close()


def bridge():
    """As buildx does: a frontend function of the client's own asks for a result and returns it."""
    ch, s, ref = channel(), Session(tar_of({"Dockerfile": b"# syntax=docker/dockerfile:1\nFROM bb\n"})), uuid.uuid4().hex
    md = (("buildkit-controlapi-buildid", ref),)
    done = ch.unary_unary(CONTROL + "Solve").future(solve_request(ref, s.id, {}, frontend="", name="kit:bridged"), timeout=120)
    pong = unary(ch, BRIDGE + "Ping", metadata=md)
    assert b"solve.base" in [get(c, 1)[0] for c in get(pong, 1)]
    q = field(2, "gateway.v0") + pair(3, "source", "docker/dockerfile:1") + field(5, 1) + field(6, 1)
    for k, v in UPLOAD.items():
        q += pair(3, k, v)
    result = get(unary(ch, BRIDGE + "Solve", q, md), 3)[0]
    assert not done.done()
    unary(ch, BRIDGE + "Return", field(1, result), md)
    assert get(done.result(), 1)
    s.close()


def status_of(call):
    try:
        call()
    except grpc.RpcError as e:
        return e
    raise AssertionError("it succeeded")


def failures():
    """What fails says so in words, with the place in the Dockerfile, and never hangs."""
    ch = channel()
    s = Session(tar_of({"Dockerfile": b"FROM bb\nRUN exit 7\n"}))
    e = status_of(lambda: unary(ch, CONTROL + "Solve", solve_request(uuid.uuid4().hex, s.id, UPLOAD)))
    assert e.code() == grpc.StatusCode.UNKNOWN and "exit code: 7" in e.details(), e
    details = dict(e.trailing_metadata())["grpc-status-details-bin"]
    assert b"errdefs.Source+json" in details and b"filename" in details, details
    for request, words in ((solve_request("r1", s.id, {}, frontend="other.v1"), "frontend other.v1"),
                           (solve_request("r2", s.id, {"source": "a/b"}, frontend="gateway.v0"), "a/b"),
                           (field(1, "r3") + field(2, field(1, b"x")), "LLB"),
                           (solve_request("r4", s.id, {"ulimit": "x"}), "ulimit")):
        e = status_of(lambda: unary(ch, CONTROL + "Solve", request))
        assert words in e.details(), e
    e = status_of(lambda: unary(ch, CONTROL + "Solve", b"\xff\xff\xff"))
    assert e.code() == grpc.StatusCode.INVALID_ARGUMENT, e
    e = status_of(lambda: unary(ch, CONTROL + "Nothing"))
    assert e.code() == grpc.StatusCode.UNIMPLEMENTED, e
    e = status_of(lambda: unary(ch, BRIDGE + "Ping"))
    assert "buildid" in e.details(), e
    s.close()


def returned_error():
    """An error that the client's function returns is the build's."""
    ch, ref = channel(), uuid.uuid4().hex
    done = ch.unary_unary(CONTROL + "Solve").future(solve_request(ref, "none", {}, frontend=""), timeout=120)
    md = (("buildkit-controlapi-buildid", ref),)
    unary(ch, BRIDGE + "Ping", metadata=md)
    q = field(2, "dockerfile.v0") + pair(3, "requestid", "frontend.nosuch") + field(5, 1)
    e = status_of(lambda: unary(ch, BRIDGE + "Solve", q, md))
    assert b"errdefs.Subrequest+json" in dict(e.trailing_metadata())["grpc-status-details-bin"]
    unary(ch, BRIDGE + "Return", field(2, field(1, 2) + field(2, "the function failed")), md)
    e = status_of(done.result)
    assert e.details() == "the function failed", e


def running(ch, text, s, ref):
    """A build whose RUN has said text: (the call, the status stream)."""
    done = ch.unary_unary(CONTROL + "Solve").future(solve_request(ref, s.id, UPLOAD), timeout=120)
    status = ch.unary_stream(CONTROL + "Status")(field(1, ref), timeout=120)
    logs = b""
    for e in status:
        logs += b"".join(get(l, 4)[0] for l in get(e, 3))
        if text in logs:
            return done, status
    raise AssertionError(logs)


def cancel():
    """A call that its client cancels ends the build; so does a connection that goes."""
    tar = tar_of({"Dockerfile": b"FROM bb\nRUN echo here; sleep 100000\n"})
    ch, s, ref = channel(), Session(tar), uuid.uuid4().hex
    done, status = running(ch, b"here", s, ref)
    done.cancel()
    rest = list(status)  # ends, and the step with it
    errors = [get(v, 7)[0] for e in rest for v in get(e, 1) if get(v, 7)]
    assert errors or not rest, rest
    other = channel()
    running(other, b"here", s, uuid.uuid4().hex)
    other.close()
    s.close()


def crowd():
    """Many calls and connections at once; those that are refused say so."""
    ch = channel()
    calls = [ch.unary_unary(CONTROL + "ListWorkers").future(b"", timeout=120) for _ in range(1000)]
    assert all(get(c.result(), 1) for c in calls)


if __name__ == "__main__":
    globals()[sys.argv[2]]()
