#!/usr/bin/env python3
"""token_server.py PORT UPSTREAM_PORT - a registry on loopback behind a token server that gives identity tokens.

GET /token with "u" and "p" as basic authentication gives a token, and with offline_token=true a refresh token, too; POST /token
gives a token for a refresh token (distribution "token authentication", OAuth2). What it did goes to stdout; never a secret.
"""
import base64, http.client, http.server, json, os, socketserver, sys, urllib.parse

port, upstream = int(sys.argv[1]), int(sys.argv[2])
BASIC = "Basic " + base64.b64encode(b"u:p").decode()


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

    def refuse(self):
        self.answer(401, [], b'{"details": "incorrect username or password"}')

    def do_POST(self):
        form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()))
        say("oauth", form.get("grant_type"), form.get("client_id"), form.get("scope", ""))
        if form.get("refresh_token") != "the.refresh" or form.get("service") != "reg":
            return self.refuse()
        self.answer(200, [("Content-Type", "application/json")], b'{"access_token": "the.token", "expires_in": 60}')

    def do_GET(self):
        if self.path.startswith("/token"):
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
            say("basic", query.get("account", ""), query.get("offline_token", ""))
            if self.headers.get("Authorization") != BASIC:
                return self.refuse()
            given = {"token": "the.token"}
            if query.get("offline_token") == "true":
                given["refresh_token"] = "the.refresh"
            return self.answer(200, [("Content-Type", "application/json")], json.dumps(given).encode())
        if self.headers.get("Authorization") != "Bearer the.token":
            challenge = 'Bearer realm="http://127.0.0.1:%d/token",service="reg"' % port
            if self.path != "/v2/":
                name = self.path.split("/v2/")[1].rsplit("/", 2)[0]
                challenge += ',scope="repository:%s:pull"' % name
            return self.answer(401, [("WWW-Authenticate", challenge)],
                               b'{"errors": [{"code": "UNAUTHORIZED", "message": "no"}]}')
        up = http.client.HTTPConnection("127.0.0.1", upstream)
        up.request("GET", self.path, headers={k: v for k, v in self.headers.items()
                                              if k.lower() not in ("connection", "authorization")})
        r = up.getresponse()
        self.answer(r.status, [(k, v) for k, v in r.getheaders()
                               if k.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server")], r.read())

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


Server(("127.0.0.1", port), Handler).serve_forever()
