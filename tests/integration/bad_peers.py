#!/usr/bin/env python3
"""bad_peers.py PORT TAR - what a peer engine can get wrong, by the first part of the path: /WAY/layers/DIGEST.

  wrong    another tar            cut      the tar (TAR) without its end, as if that were all
  broken   the tar, then the connection breaks          refuse   503
  slow     a few bytes, then nothing                    endless  zeros without an end, for TAR only
Each request goes to stdout.
"""
import hashlib, http.server, io, os, socketserver, sys, tarfile

data = open(sys.argv[2], "rb").read()


def say(*words):
    """One write: print() makes two, and those of two threads may run together."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        way = self.path.split("/")[1]
        say(self.path)
        if way == "refuse" or (way == "endless" and not self.path.endswith(hashlib.sha256(data).hexdigest())):
            self.send_error(503)
            return
        self.send_response(200)
        if way == "broken":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            getattr(self, way)()
        except (BrokenPipeError, ConnectionResetError):
            say(way, "left")

    def wrong(self):
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as t:
            info = tarfile.TarInfo("evil")
            info.size = 4
            t.addfile(info, io.BytesIO(b"evil"))
        self.wfile.write(made.getvalue())

    def cut(self):
        self.wfile.write(data[:-2048])

    def broken(self):
        self.wfile.write(data[: len(data) // 2])

    def slow(self):
        self.wfile.write(data[:600])
        self.wfile.flush()
        self.rfile.read()  # until the other side gives up

    def endless(self):
        info = tarfile.TarInfo("big")
        info.size = 1 << 40
        self.wfile.write(info.tobuf())
        while True:
            self.wfile.write(bytes(1 << 20))

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
