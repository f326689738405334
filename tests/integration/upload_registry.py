#!/usr/bin/env python3
"""upload_registry.py PORT WAY - a registry on loopback that keeps uploads in memory and behaves in one of these ways:

  plain     Locations are relative with a query that must come back; mounts are refused (202)
  cut       the first body of every upload is cut in the middle, what came is kept, and GET of the upload says how much
  lost      the same once, but the upload is gone afterwards
  length    bodies of unknown length are 411
  busy      the first request to every address is 429
  token     wants bearer tokens, for exactly one body each: the second is 401 until the client has a new one
  redirect  bodies are sent to 127.0.0.2 (307), which must not see credentials
  elsewhere the Location of an upload is at 127.0.0.2, which must not see credentials, from its beginning; mounts are 405
  search    answers /v1/search as Docker Hub does
  denied    no upload may begin
  broken    every manifest is 500
A blob whose digest is wrong is refused. What happened goes to stdout.
"""
import hashlib, http.server, json, os, re, socketserver, sys

port, way = int(sys.argv[1]), sys.argv[2]
uploads, blobs, manifests, seen = {}, {}, {}, set()
repositories = {}  # of an upload, then of a blob
state = {"next": 1, "tokens": 0, "used": 0}


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())  # one write: threads do not mix their lines


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code, message, headers=()):
        self.drain()
        self.answer(status, list(headers) + [("Content-Type", "application/json")],
                    json.dumps({"errors": [{"code": code, "message": message}]}).encode())

    def drain(self):
        """What was sent is read, or closing would take the answer away with it."""
        if not self.drained:
            for _ in self.pieces():
                pass

    def parse_request(self):
        self.drained = False
        return super().parse_request()

    def pieces(self):
        """The body, chunked or not."""
        self.drained = True
        if self.headers.get("Transfer-Encoding") == "chunked":
            while True:
                n = int(self.rfile.readline(), 16)
                data = self.rfile.read(n)
                self.rfile.readline()
                if n == 0:
                    return
                yield data
        else:
            yield self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def may_go_on(self):
        if way == "busy" and (self.command, self.path) not in seen:
            seen.add((self.command, self.path))
            say("busy", self.command)
            self.error(429, "TOOMANYREQUESTS", "slow down", [("Retry-After", "0")])
            return False
        if self.path.startswith("/token"):
            state["tokens"] += 1
            say("token", self.path)
            self.answer(200, [], json.dumps({"token": "t%d" % state["tokens"]}).encode())
            return False
        if self.headers.get("Host", "").startswith("127.0.0.2") and self.headers.get("Authorization"):
            say("leaked")
            self.error(400, "DENIED", "credentials for somebody else")
            return False
        if way == "token" and self.headers.get("Authorization") != "Bearer t%d" % max(state["tokens"], 1):
            self.challenge()
            return False
        if way == "token" and self.command == "PATCH" and state["used"] == state["tokens"]:
            say("expired")
            self.challenge()
            return False
        return True

    def challenge(self):
        value = 'Bearer realm="http://127.0.0.1:%d/token",service="reg",scope="repository:x:pull"' % port
        self.error(401, "UNAUTHORIZED", "authentication required", [("WWW-Authenticate", value)])

    def upload(self):
        match = re.match(r"^/v2/.+/blobs/uploads/(\d+)\?_state=s(\d+)", self.path)
        return match.group(1) if match and match.group(1) == match.group(2) and match.group(1) in uploads else None

    def repository(self):
        return self.path.split("/v2/")[1].split("/blobs/")[0]

    def location(self, n):
        if way == "elsewhere":
            return ("Location", "http://127.0.0.2:%d%s?_state=s%s" % (port, "/v2/x/blobs/uploads/" + n, n))
        return ("Location", "/v2/%s/blobs/uploads/%s?_state=s%s" % (self.path.split("/v2/")[1].split("/blobs/")[0], n, n))

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        if not self.may_go_on():
            return
        if way == "search" and self.path.startswith("/v1/search?"):
            say("search", self.path)
            found = [{"name": "a/" + "needle%d" % n, "description": "number\n%d" % n, "star_count": n, "is_official": n == 2} for n in (1, 2, 3)]
            return self.answer(200, [("Content-Type", "application/json")], json.dumps({"num_results": 3, "results": found}).encode())
        if self.path == "/v2/":
            return self.answer(200)
        n = self.upload()
        if n:
            say("status", len(uploads[n]))
            return self.answer(204, [self.location(n), ("Range", "0-%d" % max(len(uploads[n]) - 1, 0))])
        there = blobs.get(self.path.rsplit("/", 1)[1]) if "/blobs/" in self.path else manifests.get(self.path)
        if way in ("plain", "elsewhere") and "/blobs/" in self.path and self.repository() not in repositories.get(self.path.rsplit("/", 1)[1], ()):
            there = None
        if there is None:
            return self.error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        self.answer(200, [], there)

    def do_POST(self):
        if not self.may_go_on():
            return
        list(self.pieces())
        if way == "denied":
            return self.error(403, "DENIED", "requested access to the resource is denied")
        if way == "elsewhere" and "mount=" in self.path:
            say("no mount")
            return self.error(405, "UNSUPPORTED", "the operation is unsupported")
        n = str(state["next"])
        state["next"] += 1
        uploads[n] = b""
        repositories[n] = self.repository()
        say("begin", self.path.split("?")[-1] if "?" in self.path else "-")
        self.answer(202, [self.location(n)])

    def do_PATCH(self):
        n = self.upload()
        if not self.may_go_on():
            return
        state["used"] = state["tokens"]
        if not n:
            return self.error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if way == "length" and "Content-Length" not in self.headers:
            say("length wanted")
            return self.error(411, "SIZE_INVALID", "length required")
        if way == "length" and self.headers.get("Content-Range", "").split("-")[0] != str(len(uploads[n])):
            return self.error(416, "BLOB_UPLOAD_INVALID", "wrong offset")
        if way == "redirect" and not self.headers["Host"].startswith("127.0.0.2"):
            say("redirected")
            where = "http://127.0.0.2:%d%s" % (port, self.path)
            self.drain()
            return self.answer(307, [("Location", where)])
        for data in self.pieces():
            uploads[n] += data
            which = n if way == "cut" else "any"
            if way in ("cut", "lost") and which not in seen and len(uploads[n]) > 100000:
                seen.add(which)
                say("cut", len(uploads[n]))
                if way == "lost":
                    del uploads[n]
                self.close_connection = True
                self.connection.close()
                return
        self.answer(202, [self.location(n), ("Range", "0-%d" % max(len(uploads[n]) - 1, 0))])

    def do_PUT(self):
        if not self.may_go_on():
            return
        body = b"".join(self.pieces())
        if "/manifests/" in self.path:
            if way == "broken":
                return self.answer(500)
            manifests[self.path] = body
            say("manifest", self.path, hashlib.sha256(body).hexdigest())
            return self.answer(201)
        n = self.upload()
        if not n:
            return self.error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        digest = self.path.split("digest=sha256%3A")[1]
        if hashlib.sha256(uploads[n] + body).hexdigest() != digest:
            say("wrong digest")
            return self.error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        blobs["sha256:" + digest] = uploads.pop(n) + body
        repositories.setdefault("sha256:" + digest, set()).add(repositories[n])
        say("blob", digest, len(blobs["sha256:" + digest]))
        self.answer(201)

    def do_DELETE(self):
        if self.may_go_on():
            say("cancel")
            uploads.pop(self.upload() or "", None)
            self.answer(204)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


Server(("0.0.0.0", port), Handler).serve_forever()
