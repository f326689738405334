#!/usr/bin/python3
"""mdns_ask.py ADDRESS NAME [SECONDS]: asks the link of an interface's address for NAME by multicast (RFC 6762), prints the addresses
that come, sorted. Status 1 when none came in time.
mdns_ask.py --own ADDRESS NAME: has NAME, as another machine would: answers who asks for it, also to see whether it is taken."""
import ipaddress
import socket
import struct
import sys
import time


def encode(name):
    return b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0"


def read_name(data, at):
    labels, end = [], None
    while data[at]:
        if data[at] & 0xC0 == 0xC0:
            end = end or at + 2
            at = struct.unpack_from("!H", data, at)[0] & 0x3FFF
        else:
            labels.append(data[at + 1:at + 1 + data[at]].decode())
            at += 1 + data[at]
    return ".".join(labels), end or at + 1


def questions(data):
    at = 12
    for _ in range(struct.unpack_from("!H", data, 4)[0]):
        name, at = read_name(data, at)
        at += 4
        yield name.lower()


def answers(data):
    _, _, questions, n, _, _ = struct.unpack_from("!6H", data)
    at = 12
    for _ in range(questions):
        at = read_name(data, at)[1] + 4
    for _ in range(n):
        name, at = read_name(data, at)
        kind, _, _, length = struct.unpack_from("!HHIH", data, at)
        at += 10
        if kind in (1, 28):
            yield name.lower(), str(ipaddress.ip_address(data[at:at + length]))
        at += length


GROUP = "224.0.0.251"


def own(source, name):
    """Section 8.1 and 8.2: who probes hears that the name is taken."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(source))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(source))
    s.bind(("", 5353))
    record = encode(name) + struct.pack("!HHIH", 1, 0x8001, 120, 4) + socket.inet_aton(source)
    print("ready", flush=True)
    while True:
        data = s.recv(9000)
        if not data[2] & 0x80 and name in questions(data):
            s.sendto(struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0) + record, (GROUP, 5353))


if sys.argv[1] == "--own":
    own(sys.argv[2], sys.argv[3])
source, name, seconds = sys.argv[1], sys.argv[2].lower(), float(sys.argv[3]) if len(sys.argv) > 3 else 3
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(source))
s.bind((source, 0))  # not port 5353: the answer comes to us alone (6.7)
found, end = set(), time.monotonic() + seconds
while time.monotonic() < end and len(found) < 1:
    for kind in (1, 28):
        s.sendto(struct.pack("!6H", 1, 0, 1, 0, 0, 0) + encode(name) + struct.pack("!HH", kind, 1), (GROUP, 5353))
    until = time.monotonic() + 0.7
    while time.monotonic() < until:
        s.settimeout(max(0.01, until - time.monotonic()))
        try:
            found |= {a for n, a in answers(s.recv(9000)) if n == name}
        except TimeoutError:
            break
print("\n".join(sorted(found)))
sys.exit(not found)
