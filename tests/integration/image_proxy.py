#!/usr/bin/env python3
"""image_proxy.py PORT UPSTREAM_PORT - a proxy on loopback that cuts the first two connections of every larger blob in the middle."""
import http.client, http.server, socketserver, sys

cuts = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        up = http.client.HTTPConnection("127.0.0.1", int(sys.argv[2]))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection",)}
        if "Range" in headers:
            print("range", headers["Range"], flush=True)
        up.request("GET", self.path, headers=headers)
        r = up.getresponse()
        body = r.read()
        self.send_response(r.status)
        for k, v in r.getheaders():
            if k.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if "/blobs/" in self.path and len(body) > 100000 and cuts.setdefault(self.path, 0) < 2:
            cuts[self.path] += 1
            print("cut", self.path, flush=True)
            self.wfile.write(body[:len(body) // 3])
            self.wfile.flush()
            self.connection.close()
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
