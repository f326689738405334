"""Backends for ingress_conf.py: what apps do, small enough to see what reached them."""
import base64
import hashlib
import http.server
import json
import os
import socket
import socketserver
import ssl
import struct
import threading
import urllib.parse


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients of these tests leave when they have seen enough


class Shared:
    """What a test and its backend tell each other."""

    def __init__(self):
        self.go_on = threading.Event()  # the test has seen the first part
        self.seen = threading.Event()  # the backend has seen the first part
        self.upload_bytes = 0
        self.hits = []


shared = Shared()


class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    name = "app"

    def log_message(self, *args):
        pass

    def answer(self, status=200, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def read_body(self):
        """All of it, whatever its length; the first megabyte is told at once."""
        shared.upload_bytes = 0
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                self.take(size)
                self.rfile.readline()
                if size == 0:
                    return
        self.take(int(self.headers.get("Content-Length", "0")))

    def take(self, left):
        while left > 0:
            data = self.rfile.read(min(left, 1 << 16))
            if not data:
                raise ConnectionError
            left -= len(data)
            shared.upload_bytes += len(data)
            if shared.upload_bytes >= 1 << 20:
                shared.seen.set()

    def do_PUT(self):
        self.read_body()
        self.answer(200, str(shared.upload_bytes).encode())

    def do_POST(self):
        self.do_PUT()

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        last = url.path.rsplit("/", 1)[-1]
        handler = getattr(self, "get_" + last, None) if last.isalnum() else None
        if handler:
            handler(query)
        else:
            self.answer(200, json.dumps({"app": self.name, "path": self.path, "client": self.client_address[0],
                                         "headers": self.headers.items()}).encode())

    def get_go(self, query):
        self.answer(302, b"", [("Location", query["to"][0])])

    def get_cookie(self, query):
        self.answer(200, b"", [("Set-Cookie", "s=1; Path=/; HttpOnly")])

    def get_accel(self, query):
        self.answer(200, b"the app's", [("X-Accel-Redirect", "/.wherry/pages/error.html")])

    def get_said(self, query):
        self.answer(200, b"", [("X-Frame-Options", "NEVER"), ("X-Powered-By", "cobol"), ("Set-Cookie", "a=b")])

    def get_status(self, query):
        self.answer(int(query["is"][0]), b"the app's own page")

    def get_huge(self, query):
        """More than nginx may keep in memory: it must not go to the disk."""
        self.send_response(200)
        self.send_header("Content-Length", str(64 << 20))
        self.end_headers()
        for _ in range(64):
            self.wfile.write(b"x" * (1 << 20))

    def get_events(self, query):
        """One event now, the other when the test has seen the first: who buffers never sees it."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in (b"data: 1\n\n", b"data: 2\n\n"):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
            shared.go_on.wait(60)
        self.wfile.write(b"0\r\n\r\n")

    def get_ws(self, query):
        key = self.headers.get("Sec-WebSocket-Key")
        if self.headers.get("Upgrade", "").lower() != "websocket" or not key:
            self.answer(426, json.dumps(self.headers.items()).encode())
            return
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        while True:  # short frames of text, masked, sent back as they are
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 15 == 8:
                break
            mask = self.rfile.read(4)
            data = bytes(c ^ mask[i % 4] for i, c in enumerate(self.rfile.read(head[1] & 127)))
            self.wfile.write(struct.pack("BB", 0x81, len(data)) + data)
        self.close_connection = True


class Door(App):
    """The daemon's part: lets in whose cookie says so."""

    def do_GET(self):
        cookie = dict(p.strip().split("=", 1) for p in self.headers.get("Cookie", "").split(";") if "=" in p)
        user = cookie.get("__Host-wherry")
        allow = self.headers.get("X-Wherry-Allow", "")
        if self.path != "/.wherry/verify":
            self.answer(200, json.dumps({"door": self.path, "headers": self.headers.items()}).encode())
            return
        shared.hits.append({k: v for k, v in self.headers.items() if k.startswith("X-")})
        if not user:
            self.answer(401)
        elif allow and user not in allow.split(","):
            self.answer(403)
        else:
            self.answer(200, b"", [("Remote-User", user), ("Remote-Groups", "operate"), ("Remote-Name", "A. User")])

    def do_POST(self):
        self.read_body()
        self.do_GET()

    def address_string(self):
        return "unix"


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        request, _ = super().get_request()
        return request, ("unix", 0)

    def handle_error(self, request, client_address):
        pass


def start(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def app(port, name="app", cert=None, host="127.0.0.1"):
    server = Server((host, port), type("App_" + name, (App,), {"name": name}))
    if cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert + ".crt", cert + ".key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    return start(server)


def door(path):
    server = start(UnixServer(path, Door))
    os.chmod(path, 0o666)
    return server


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(4096):
            self.request.sendall(data.upper())


class UdpEcho(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data.upper(), self.client_address)


class TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True


def echo(port):
    start(socketserver.UDPServer(("127.0.0.1", port), UdpEcho))
    return start(TcpServer(("127.0.0.1", port), Echo))


def grpc_app(port, cert=None):
    """Streams back what it gets, one by one; None without Debian's python3-grpcio."""
    try:
        import grpc
        from concurrent import futures
    except ImportError:
        return None

    def echo_each(requests, context):
        for r in requests:
            yield r.upper()

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.stream_stream_rpc_method_handler(echo_each) if details.method == "/t.T/Echo" else None

    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((Handler(),))
    if cert:
        pair = (open(cert + ".key", "rb").read(), open(cert + ".crt", "rb").read())
        server.add_secure_port("127.0.0.1:%d" % port, grpc.ssl_server_credentials([pair]))
    else:
        server.add_insecure_port("127.0.0.1:%d" % port)
    server.start()
    return server


def wait_for(port):
    socket.create_connection(("127.0.0.1", port), timeout=60).close()
