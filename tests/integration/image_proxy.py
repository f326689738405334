#!/usr/bin/env python3
"""image_proxy.py PORT UPSTREAM_PORT WAY [FILE] - a proxy on loopback before a registry, which behaves in one of these ways:

  cut       cuts the first two connections of every larger blob in the middle
  token     wants bearer tokens, which it gives at /token to "u" with password "p"; blobs are redirected to 127.0.0.2, which
            must not see a token (it answers 400 then, as signed URLs of object stores do)
  anonymous the same, but tokens are for everybody
  expire    as anonymous, and whatever is asked for first, the token for it has just expired
  hold      sends the first half of each larger blob and then nothing, the first time it is asked for
  forward   does what it is asked, also as a proxy for another host
  gone      larger blobs are answered with 403, after as many seconds as FILE says
  pages     gives lists of tags 100 at a time, with a Link to the next
  togetherN  answers larger blobs when N of them are asked for at the same time, and says how many that were
  rude      cuts each larger blob, then is busy, then sends another part than it was asked for
What it did goes to stdout.
"""
import base64, http.client, http.server, json, os, socketserver, sys, threading, time

port, upstream, way = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
cuts = {}
tokens = {"given": 0}
expired = {}  # the newest token that a path is not given for
asking = {"now": 0, "most": 0}
lock = threading.Condition()


def say(*words):
    """One write: print() makes two, and those of two threads may run together."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def give_token(self):
        say("token", self.path)
        basic = "Basic " + base64.b64encode(b"u:p").decode()
        if way == "token" and self.headers.get("Authorization") != basic:
            return self.answer(401, [], b'{"details": "incorrect username or password"}')
        with lock:
            tokens["given"] += 1
            token = "the.token%d" % tokens["given"]
        return self.answer(200, [("Content-Type", "application/json")], b'{"token": "%s", "expires_in": 60}' % token.encode())

    def is_good(self, token):
        number = int(token.removeprefix("Bearer the.token")) if token else 0
        with lock:
            return number > (expired.setdefault(self.path, number) if way == "expire" else 0)

    def check_token(self):
        """True when the request may go on."""
        there = self.headers.get("Authorization")
        if self.headers.get("Host", "").startswith("127.0.0.2"):
            if there:
                say("leaked", there)
                self.answer(400)
            return not there
        if not self.is_good(there):
            name = self.path.split("/v2/")[1].rsplit("/", 2)[0]
            challenge = 'Bearer realm="http://127.0.0.1:%d/token",service="reg",scope="repository:%s:pull"' % (port, name)
            self.answer(401, [("WWW-Authenticate", challenge)], b'{"errors": [{"code": "UNAUTHORIZED", "message": "no"}]}')
            return False
        if self.path == "/v2/":
            self.answer(200, [], b"{}")
            return False
        if "/blobs/" in self.path:
            say("redirected")
            self.answer(307, [("Location", "http://127.0.0.2:%d%s" % (port, self.path))])
            return False
        return True

    def wait_for_others(self, wanted):
        with lock:
            asking["now"] += 1
            lock.notify_all()
            lock.wait_for(lambda: asking["most"] >= wanted or asking["now"] >= wanted, 60)
            asking["most"] = max(asking["most"], asking["now"])
        time.sleep(0.2)  # who is one too many would be seen
        with lock:
            say("together", asking["now"])
            asking["now"] -= 1

    def do_GET(self):
        if self.path.startswith("http://"):  # as a proxy is asked
            say("for", self.path)
            self.path = "/" + self.path.split("/", 3)[3]
        if way in ("token", "anonymous", "expire"):
            if self.path.startswith("/token"):
                return self.give_token()
            if not self.check_token():
                return
        path, _, after = self.path.partition("?last=")
        if way == "pages" and path.endswith("/tags/list"):
            self.path = path
        up = http.client.HTTPConnection("127.0.0.1", upstream)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "authorization")}
        if "Range" in headers:
            say("range", headers["Range"])
        larger = "/blobs/" in self.path
        if way == "rude" and larger and cuts.get(self.path) == 1:
            cuts[self.path] += 1
            say("busy", self.path)
            return self.answer(503, [("Retry-After", "0")])
        if way == "rude" and larger and cuts.get(self.path) == 2 and "Range" in headers:
            cuts[self.path] += 1
            say("wrong part", self.path)
            headers["Range"] = "bytes=0-99"
        up.request("GET", self.path, headers=headers)
        r = up.getresponse()
        body = r.read()
        kept = [(k, v) for k, v in r.getheaders()
                if k.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server")]
        if way.startswith("together") and "/blobs/" in self.path and len(body) > 100000:
            self.wait_for_others(int(way[8:]))
        if way == "gone" and "/blobs/" in self.path and len(body) > 100000:
            with open(sys.argv[4]) as f:
                time.sleep(float(f.read()))
            return self.answer(403)
        if way == "pages" and path.endswith("/tags/list"):
            doc = json.loads(body)
            later = sorted(t for t in doc["tags"] if t > after)
            say("page", after)
            more = [("Link", '<%s?last=%s>; rel="next"' % (path, later[99]))] if len(later) > 100 else []
            return self.answer(200, kept + more, json.dumps({"name": doc["name"], "tags": later[:100]}).encode())
        times = {"cut": 2, "rude": 1, "hold": 1}.get(way, 0)
        if "/blobs/" in self.path and len(body) > 100000 and cuts.setdefault(self.path, 0) < times:
            cuts[self.path] += 1
            self.send_response(r.status)
            for k, v in kept:
                self.send_header(k, v)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:len(body) // (2 if way == "hold" else 3)])
            self.wfile.flush()
            say("cut", self.path)
            while way == "hold" and self.connection.recv(1):
                pass
            self.connection.close()
            self.close_connection = True
            return
        self.answer(r.status, kept, body)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


Server(("0.0.0.0", port), Handler).serve_forever()
