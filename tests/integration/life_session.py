"""One attached session: life_session.py SOCKET PATH TEXT [websocket | JSON-BODY]; prints what comes until the end."""
import base64
import os
import socket
import struct
import sys

sock, path, text = sys.argv[1:4]
mode = sys.argv[4] if len(sys.argv) > 4 else ""
ws = mode == "websocket"
s = socket.socket(socket.AF_UNIX)
s.settimeout(100)
s.connect(sock)
body = b"" if ws else mode.encode()
if ws:
    key = base64.b64encode(os.urandom(16)).decode()
    head = "GET %s HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" % path
    head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % key
else:
    head = "POST %s HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n" % path
    head += "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
s.sendall(head.encode() + body)
f = s.makefile("rb")
status = f.readline()
if b" 101 " not in status:
    sys.exit(status.decode() + f.read().decode())
while f.readline() != b"\r\n":
    pass
data = text.encode().decode("unicode_escape").encode("latin1")
if not ws:
    s.sendall(data)
    sys.stdout.write(f.read().decode())
    print("[ended]")
    sys.exit(0)
mask = os.urandom(4)
s.sendall(b"\x82" + bytes([0x80 | len(data)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))
while True:
    first, n = f.read(2)
    n = struct.unpack(">H", f.read(2))[0] if n == 126 else n
    payload = f.read(n)
    if first == 0x88:
        print("[closed %d]" % struct.unpack(">H", payload))
        s.shutdown(socket.SHUT_WR)
        break
    sys.stdout.write(payload.decode())
