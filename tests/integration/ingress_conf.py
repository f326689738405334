"""ingress_conf.py BUILD TOP [CASE...]: see ingress_conf.sh."""
import base64
import http.client
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import traceback

import ingress_backends as backends
import ingress_oracle

BUILD, TOP = sys.argv[1:3]
RUN, DATA = TOP + "/run", TOP + "/data"
PATIENCE = 60
shared = backends.shared
APP, APP2, TLS_APP, GRPC, GRPCS, PASS, ECHO, NOBODY = range(9001, 9009)


def sh(*args, **more):
    return subprocess.run(args, check=True, capture_output=True, text=True, **more).stdout


# --- nginx ---

class Nginx:
    def __init__(self):
        self.generation = 0
        self.process = None

    def write(self, sources, settings=None, **more):
        self.generation += 1
        model = {"settings": settings or {}, "run": RUN, "data": DATA, "stems": STEMS, "login": True,
                 "generation": self.generation, "sources": sources}
        model.update(more)
        done = subprocess.run([BUILD + "/tests/unit/ingress/ingress-model"], input=json.dumps(model),
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        with open(TOP + "/nginx.conf", "w") as f:
            f.write(done.stdout)
        test = subprocess.run(["nginx", "-t", "-q", "-p", TOP, "-c", TOP + "/nginx.conf"], capture_output=True, text=True)
        assert test.returncode == 0, test.stderr
        return done.stderr

    def serve(self, sources, settings=None, **more):
        """Returns when the new generation answers; what is refused is returned."""
        refused = self.write(sources, settings, **more)
        if self.process is None:
            self.process = subprocess.Popen(["nginx", "-g", "daemon off;", "-p", TOP, "-c", TOP + "/nginx.conf"],
                                            stderr=open(TOP + "/nginx.err", "w"))
            eventually(lambda: self.answers() == self.generation)
            return refused
        old = self.workers()
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: self.answers() == self.generation)
        eventually(lambda: not set(old) & set(self.workers()))  # an old one may take a connection until then
        return refused

    def workers(self):
        """Those that listen."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % pid) as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
                with open("/proc/%s/cmdline" % pid) as f:
                    what = f.read()
            except OSError:
                continue
            if parent == self.process.pid and "worker" in what and "shutting down" not in what:
                found.append(pid)
        return found

    def answers(self):
        try:
            s = socket.socket(socket.AF_UNIX)
            s.connect(RUN + "/status.sock")
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return int(s.makefile("rb").read().split(b"\r\n\r\n")[1])
        except (OSError, IndexError, ValueError):
            return None

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None
            for name in os.listdir(RUN):
                if name.endswith(".sock") and name != "door.sock":
                    os.unlink(RUN + "/" + name)


def eventually(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "did not become true"
        time.sleep(0.02)


def source(name, port=APP, n=1, life=2, address="127.0.0.1", **labels):
    """A container: labels by their field, 'stream_x' for wherry.stream.x, others as they are in 'labels'."""
    out = labels.pop("labels", {})
    for key, value in labels.items():
        if key.startswith("stream_"):
            out["wherry.stream." + key[7:]] = value
        else:
            out["wherry.http." + key] = value
    if not any(k.startswith("wherry.stream.") for k in out) or labels.get("host"):
        out.setdefault("wherry.http.port", str(port))
    if "wherry.http.root" in out or "wherry.http.redirect" in out:
        del out["wherry.http.port"]
    return {"id": (name.encode().hex() + "0" * 64)[:64], "name": name, "created": n, "life": life, "address": address,
            "labels": out}


nginx = Nginx()


# --- a client ---

class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.getheaders()
        self.body = response.read()

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def header(self, name):
        found = self.all(name)
        return found[0] if len(found) == 1 else (found or None)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def seen(self):
        """What reached the backend: names in lower case to lists of values."""
        out = {}
        for k, v in self.json["headers"]:
            out.setdefault(k.lower(), []).append(v)
        return out


def dial(host, plain=False, port=None, source_address="127.0.0.1", alpn=None, version=None, ciphers=None):
    s = socket.create_connection(("127.0.0.1", port or (80 if plain else 443)), timeout=PATIENCE,
                                 source_address=(source_address, 0))
    if plain:
        return s
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    return context.wrap_socket(s, server_hostname=host)


def send(s, method, uri, host, headers=(), body=b""):
    lines = ["%s %s HTTP/1.1" % (method, uri)]
    if host is not None:
        lines.append("Host: " + host)
    lines += ["%s: %s" % h for h in headers]
    if body:
        lines.append("Content-Length: %d" % len(body))
    s.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)


def receive(s, method="GET"):
    response = http.client.HTTPResponse(s, method=method)
    response.begin()
    return response


def ask(host, uri="/", method="GET", headers=(), body=b"", **how):
    s = dial(host.split(":")[0] if host else None, **how)
    send(s, method, uri, host, list(headers) + [("Connection", "close")], body)
    answer = Answer(receive(s, method))
    s.close()
    return answer


def same(got, wanted):
    assert got == wanted, "%r is not %r" % (got, wanted)


def has(text, part):
    assert part in text, "%r is not in %r" % (part, text)


PAGE = [("Accept", "text/html")]


def basic(user, password):
    return ("Authorization", "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode())


CASES = []


def case(f):
    CASES.append(f)
    return f


# --- what backends hear ---

@case
def a_backend_hears_who_asked_and_how():
    a = ask("web.box.local", "/x?y=%2F", source_address="127.0.0.7")
    same(a.json["path"], "/x?y=%2F")
    for name, value in {"host": "web.box.local", "x-real-ip": "127.0.0.7", "x-forwarded-for": "127.0.0.7",
                        "x-forwarded-proto": "https", "x-forwarded-host": "web.box.local", "x-forwarded-port": "443",
                        "forwarded": 'for=127.0.0.7;host="web.box.local";proto=https'}.items():
        same(a.seen.get(name), [value])


@case
def the_port_in_the_host_is_kept():
    a = ask("web.box.local:8443")
    same(a.seen["host"], ["web.box.local:8443"])
    same(a.seen["x-forwarded-port"], ["8443"])


@case
def what_a_client_says_of_itself_is_replaced():
    lies = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", "evil"),
            ("X-Real-IP", "1.2.3.4"), ("Forwarded", "for=1.2.3.4"), ("X-Forwarded-Port", "1"),
            ("Remote-User", "root"), ("Remote-Groups", "admin"), ("Remote-Name", "Root"), ("Remote-Email", "r@x"),
            ("X-Forwarded-User", "root"), ("X-Forwarded-Groups", "admin"), ("X-Forwarded-Prefix", "/evil"),
            ("X-Wherry-User", "root"), ("X-Wherry-Allow", "root"), ("Proxy", "http://evil"), ("Remote_User", "root")]
    text = json.dumps(ask("web.box.local", headers=lies).json["headers"])
    for lie in ("1.2.3.4", "gopher", "evil", "root", "Root", "admin", "r@x"):
        assert lie not in text, text


@case
def the_host_is_the_one_that_the_route_was_chosen_by():
    s = dial("web.box.local")
    send(s, "GET", "https://web.box.local/", "login.box.local", [("Connection", "close")])
    same(Answer(receive(s)).seen["host"], ["web.box.local"])


@case
def the_session_never_reaches_a_backend():
    for cookie, rest in {"__Host-wherry=alice": None, "a=1; __Host-wherry=alice": "a=1",
                         "__Host-wherry=alice; a=1": "a=1", "a=1; __Host-wherry=x; b=2": "a=1; b=2",
                         "a=__Host; b=2": "a=__Host; b=2", "a=1;__Host-wherry=x;b=2": "a=1;b=2",
                         "__Host-wherry=x; __Host-wherry=y; a=1": None}.items():
        got = ask("web.box.local", headers=[("Cookie", cookie)]).seen.get("cookie")
        same(got, [rest] if rest else None)


@case
def only_websockets_are_an_upgrade():
    seen = ask("web.box.local", headers=[("Upgrade", "h2c"), ("HTTP2-Settings", "x")]).seen
    same(seen.get("upgrade"), None)


# --- trusted proxies ---

@case
def a_trusted_proxy_is_believed_and_nobody_else():
    told = [("X-Forwarded-For", "6.6.6.6, 203.0.113.9"), ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "outside.example")]
    nginx.serve([source("web")], {"trusted-proxies": ["127.0.0.9", "10.0.0.0/8"]})
    a = ask("web.box.local", headers=told, plain=True, source_address="127.0.0.9")
    same(a.status, 200)  # it speaks TLS outside: no redirect
    same(a.seen["x-real-ip"], ["203.0.113.9"])
    same(a.seen["x-forwarded-for"], ["203.0.113.9"])
    same(a.seen["x-forwarded-proto"], ["https"])
    same(a.seen["x-forwarded-host"], ["outside.example"])
    same(a.seen["x-forwarded-port"], ["443"])
    b = ask("web.box.local", headers=told, plain=True, source_address="127.0.0.8")
    same(b.status, 301)
    b = ask("web.box.local", headers=told, source_address="127.0.0.8")
    same(b.seen["x-real-ip"], ["127.0.0.8"])
    same(b.seen["x-forwarded-host"], ["web.box.local"])
    usual()


# --- where to ---

@case
def plain_http_is_sent_to_https():
    a = ask("web.box.local", "/a?b=1", plain=True)
    same((a.status, a.header("Location")), (301, "https://web.box.local/a?b=1"))
    same(ask("off.box.local", plain=True).status, 200)
    same(ask("off.box.local").status, 200)


@case
def plain_http_on_the_tls_port_is_sent_to_https():
    a = ask("web.box.local", "/a", plain=True, port=443)
    same((a.status, a.header("Location")), (301, "https://web.box.local:443/a"))


@case
def an_unknown_host_has_a_page():
    for how in ({}, {"plain": True}):
        a = ask("nobody.example", **how)
        same(a.status, 404)
        has(a.body, b"unknown host")
    same(ask("evil.web.box.local").status, 404)


@case
def the_devices_own_names_and_addresses_are_one_host():
    for name in ("box.local", "box", "localhost", "127.0.0.1", "192.0.2.7", "[::1]", "BOX.local"):
        same(ask(name, "/own/x").json["app"], "app")
    same(ask("box.local", "/").status, 404)


@case
def hosts_are_exact_or_all_below_one():
    same(ask("a.wild.example").json["app"], "wild")
    same(ask("a.b.wild.example").json["app"], "wild")
    same(ask("wild.example").status, 404)
    same(ask("exact.wild.example").json["app"], "app")


@case
def a_path_is_of_whole_segments():
    same(ask("paths.box.local", "/app").json["app"], "two")
    same(ask("paths.box.local", "/app/x").json["path"], "/app/x")
    same(ask("paths.box.local", "/apple").json["app"], "app")
    same(ask("paths.box.local", "/app/deep/x").json["app"], "app")


@case
def a_stripped_prefix_is_put_back_in_redirects_and_cookies():
    a = ask("strip.box.local", "/app")
    same((a.status, a.header("Location")), (307, "/app/"))
    a = ask("strip.box.local", "/app?x=1", "POST")
    same((a.status, a.header("Location")), (307, "/app/?x=1"))
    for sent, reached in {"/app/": "/", "/app/x%2Fy?q=%2F&r": "/x%2Fy?q=%2F&r", "/app/a//b": "/a//b",
                          "/%61pp/x%20y": "/x%20y", "//app/x": "/x", "/app/%0d%0aX:1": "/%0d%0aX:1",
                          "/app/./x": "/x", "/z/../app/x": "/x"}.items():
        a = ask("strip.box.local", sent)
        same(a.json["path"].lower(), reached.lower())
        same(a.seen["x-forwarded-prefix"], ["/app"])
    same(ask("deep.box.local", "/a" * 256 + "/x").json["path"], "/x")
    for location, back in {"/login": "/app/login", "/app/login": "/app/login", "//other/x": "//other/x",
                           "http://strip.box.local/x": "https://strip.box.local/app/x",
                           "https://else.example/x": "https://else.example/x", "rel": "rel"}.items():
        same(ask("strip.box.local", "/app/go?to=" + location).header("Location"), back)
    has(ask("strip.box.local", "/app/cookie").header("Set-Cookie"), "Path=/app/")


@case
def an_app_that_does_not_know_of_the_tls_still_redirects_to_it():
    same(ask("web.box.local", "/go?to=http://web.box.local/x").header("Location"), "https://web.box.local/x")


@case
def a_strange_path_is_only_a_path():
    same(ask("web.box.local", "/a%20%22%7B%7D;$x/%C3%BC/y").json["app"], "two")
    same(ask("web.box.local", "/a%20b/y").json["app"], "app")
    same(ask("web.box.local", "/b%20%22%7B%7D;$y/z").json["path"], "/z")


@case
def redirects_go_where_they_say():
    same([ask("r1.box.local", "/x").header("Location"), ask("r1.box.local").status],
         ["http://r1.box.local:3000/", 302])
    a = ask("r2.box.local", "/x?y")
    same((a.status, a.header("Location")), (301, "https://new.example/x?y"))
    same(ask("r3.box.local").header("Location"), "/$host;")
    same(ask("r4.box.local", "/x").header("Location"), "http://r4.box.localb//xc")


@case
def replicas_share_and_one_that_is_gone_is_passed_over():
    nginx.serve([dict(source("web%d" % i, port=port, host="multi.example"), project="p", service="web")
                 for i, port in enumerate((APP, APP2, NOBODY))])
    same({ask("multi.example").json["app"] for _ in range(12)}, {"app", "two"})
    usual()


@case
def of_two_that_ask_for_one_path_the_older_has_it():
    refused = nginx.serve([source("young", port=APP2, n=2, host="web.example"), source("old", n=1, host="web.example")])
    same(ask("web.example").json["app"], "app")
    has(refused, "web.example/ is already the route of container old")
    usual()


# --- statuses and pages ---

@case
def statuses_of_nginx_have_our_pages_and_those_of_apps_their_own():
    a = ask("dead.box.local", headers=PAGE)
    same(a.status, 502)
    has(a.body, b"page 502")
    for status in (404, 500, 502, 503):
        a = ask("web.box.local", "/status?is=%d" % status)
        same((a.status, a.body), (status, b"the app's own page"))
    a = ask("web.box.local", method="TRACE")
    same(a.status, 405)
    has(a.body, b"page 405")
    same(ask("web.box.local", "/.wherry/pages/error.html").status, 404)


@case
def what_is_not_there_yet_says_so():
    a = ask("coming.box.local", headers=PAGE)
    same((a.status, a.header("Retry-After")), (503, "2"))
    has(a.body, b"starting 503 coming")
    a = ask("stopped.box.local")
    same((a.status, a.header("Retry-After")), (503, None))
    has(a.body, b"stopped")


@case
def a_route_may_have_a_page_of_its_own_or_none():
    has(ask("ownpage.box.local").body, b"my own page 502")
    has(ask("nopage.box.local").body, b"<center>nginx</center>")


@case
def an_app_cannot_send_itself_elsewhere():
    a = ask("web.box.local", "/accel")
    same((a.status, a.body), (200, b"the app's"))


# --- limits ---

@case
def a_body_over_the_limit_is_refused():
    a = ask("limits.box.local", "/", "PUT", body=b"x" * 1025)
    same(a.status, 413)
    has(a.body, b"page 413")
    same(ask("limits.box.local", "/", "PUT", body=b"x" * 1024).body, b"1024")


@case
def more_than_the_rate_is_refused():
    statuses = [ask("rate.box.local").status for _ in range(6)]
    same((statuses[:3], statuses[-1]), ([200] * 3, 429))
    same(ask("rate.box.local", source_address="127.0.0.44").status, 200)


# --- headers ---

@case
def response_headers_are_set_replaced_and_taken_away():
    a = ask("headers.box.local", "/said")
    same(a.header("X-Frame-Options"), 'DENY "; $host {}')
    same(a.header("X-Powered-By"), None)
    same(a.header("Strict-Transport-Security"), "max-age=60; includeSubDomains")
    same(sorted(a.all("Set-Cookie")), ["a=b", "c=d"])
    same(a.header("Server"), "nginx")
    a = ask("headers.box.local", "/status?is=404")
    same(a.header("X-Frame-Options"), 'DENY "; $host {}')


# --- who ---

@case
def basic_auth_takes_what_htpasswd_makes():
    for host in ("basic.box.local", "basicfile.box.local"):
        a = ask(host)
        same((a.status, a.header("WWW-Authenticate")), (401, 'Basic realm="sign in"'))
        has(a.body, b"page 401")
        same(ask(host, headers=[basic("bob", "wrong")]).status, 401)
        for user in ("bob", "eve"):
            a = ask(host, headers=[basic(user, "secret")])
            same((a.status, a.seen["remote-user"], a.seen.get("authorization")), (200, [user], None))


@case
def a_login_is_asked_for_and_passed_on():
    shared.hits.clear()
    a = ask("login.box.local", "/x?a=1&b=2", headers=PAGE)
    same((a.status, a.header("Location")), (303, "/.wherry/login?next=/x?a=1&b=2"))
    same(a.header("Cache-Control"), "no-store")
    same(ask("login.box.local").status, 401)
    same(ask("login.box.local", "/", "POST", headers=PAGE, body=b"x").status, 401)
    a = ask("login.box.local", "/x", headers=[("Cookie", "__Host-wherry=alice"), ("Remote-User", "root")])
    same(a.status, 200)
    for name, value in {"remote-user": ["alice"], "remote-groups": ["operate"], "remote-name": ["A. User"],
                        "cookie": None}.items():
        same(a.seen.get(name), value)
    same(ask("login.box.local", "/x", headers=[("Cookie", "__Host-wherry=eve")]).status, 403)
    same(shared.hits[0]["X-Wherry-Allow"], "alice,@admin")
    same(shared.hits[0]["X-Wherry-Uri"], "/x?a=1&b=2")
    same(shared.hits[0]["X-Wherry-Host"], "login.box.local")
    same(shared.hits[0]["X-Wherry-Key"], "login")
    same(shared.hits[0]["X-Wherry-Method"], "GET")


@case
def the_door_is_at_every_host():
    for host in ("web.box.local", "box.local", "nobody.example"):
        a = ask(host, "/.wherry/login?next=/", headers=[("X-Wherry-Allow", "x"), ("Cookie", "__Host-wherry=a")])
        same(a.json["door"], "/.wherry/login?next=/")
        same((a.seen["x-wherry-host"], a.seen.get("x-wherry-allow")), ([host], None))
        same(a.seen["cookie"], ["__Host-wherry=a"])
    same(ask("web.box.local", "/.wherry/verify").status, 404)
    same(ask("web.box.local", "/.wherry/login", plain=True).status, 301)
    same(ask("web.box.local", "/.wherry/login", "POST", body=b"x" * 70000).status, 413)


@case
def the_page_that_leads_to_trust_is_there_by_plain_http():
    for host, plain in (("web.box.local", True), ("nobody.example", True), ("web.box.local", False)):
        same((ask(host, "/.wherry/ca", plain=plain).status, ask(host, "/.wherry/ca/ca.crt", plain=plain).body), (200, b"ca.crt"))
    same(ask("web.box.local", "/.wherry/ca/other.crt", plain=True).status, 404)


@case
def without_the_door_nobody_comes_in():
    nginx.serve([source("login", auth="login")], login=False)
    same(ask("login.box.local", headers=[("Cookie", "__Host-wherry=alice")]).status, 403)
    usual()


@case
def a_path_cannot_be_written_so_that_the_login_is_passed_by():
    nginx.serve([source("half", labels={"wherry.http.open.path": "/", "wherry.http.open.port": str(APP),
                                        "wherry.http.open.host": "half.example",
                                        "wherry.http.shut.path": "/admin", "wherry.http.shut.port": str(APP),
                                        "wherry.http.shut.host": "half.example", "wherry.http.shut.auth": "login"})])
    same(ask("half.example", "/x?y=/../;").status, 200)
    same(ask("half.example", "/a.b/..c/x.").status, 200)
    for uri in ("/admin", "/admin/", "/admin/x", "/%61dmin/x", "//admin/x", "/admin%2fx"):
        same(ask("half.example", uri).status, 401)
    for uri in ("/admin/../x", "/x/../admin", "/x/%2e%2e/admin", "/admin%2f..%2fx", "/admin/%2E./x", "/./x", "/admin;/x",
                "/x%3b/../admin", "/x\\admin", "/x%5cadmin"):
        same(ask("half.example", uri).status, 400)
    usual()


# --- streams of bytes ---

@case
def a_websocket_is_open_both_ways():
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "WebSocket"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
               ("Sec-WebSocket-Version", "13")]
    for host, more in (("web.box.local", []), ("login.box.local", [("Cookie", "__Host-wherry=alice")])):
        s = dial(host)
        send(s, "GET", "/ws", host, upgrade + more)
        r = receive(s)
        same((r.status, r.getheader("Sec-WebSocket-Accept")), (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
        f = s.makefile("rb")
        for text in (b"one", b"two"):
            s.sendall(struct.pack("BB", 0x81, 0x80 | len(text)) + b"\0\0\0\0" + text)
            same(f.read(2 + len(text)), struct.pack("BB", 0x81, len(text)) + text)
        s.close()
    same(ask("login.box.local", "/ws", headers=upgrade[1:]).status, 401)
    a = ask("nows.box.local", "/ws", headers=[("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x")])
    same(a.status, 426)
    assert b"websocket" not in a.body.lower().replace(b"sec-websocket", b"")


def events(host, uri="/events"):
    shared.go_on.clear()
    s = dial(host)
    send(s, "GET", uri, host, [("Accept", "text/event-stream")])
    r = receive(s)
    same(r.read(9), b"data: 1\n\n")
    shared.go_on.set()
    same(r.read(9), b"data: 2\n\n")
    s.close()


@case
def events_are_not_kept_back():
    events("web.box.local")
    events("strip.box.local", "/app/events")


@case
def without_buffering_nothing_is_kept_back():
    shared.go_on.clear()
    s = dial("unbuffered.box.local")
    send(s, "GET", "/events", "unbuffered.box.local")
    r = receive(s)
    same(r.read(9), b"data: 1\n\n")
    shared.go_on.set()
    s.close()


def temp_files():
    return [f for d, _, files in os.walk(RUN + "/tmp") for f in files]


@case
def an_upload_reaches_the_app_while_it_is_sent():
    """4 GB are announced; the app has seen the first before the second megabyte is sent."""
    for chunked in (False, True):
        shared.seen.clear()
        s = dial("web.box.local")
        length = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(4 << 30))
        send(s, "PUT", "/up", "web.box.local", [length])
        part = b"x" * (1 << 20)
        s.sendall(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
        assert shared.seen.wait(PATIENCE), "the app has seen nothing"
        same(temp_files(), [])
        if chunked:
            s.sendall(b"0\r\n\r\n")
            same(Answer(receive(s)).body, b"%d" % len(part))
        s.close()


@case
def a_download_does_not_go_to_the_disk():
    s = dial("web.box.local")
    send(s, "GET", "/huge", "web.box.local", [("Connection", "close")])
    r = receive(s)
    n = len(r.read(1 << 20))
    same(temp_files(), [])
    while data := r.read(1 << 20):
        n += len(data)
    same(n, 64 << 20)


@case
def grpc_is_a_stream_both_ways():
    if not GRPC_SERVERS[0]:
        return
    import grpc
    root = grpc.ssl_channel_credentials(open(STEMS[""] + ".crt", "rb").read())
    for host in ("grpc.box.local", "grpcs.box.local"):
        with grpc.secure_channel("127.0.0.1:443", root, [("grpc.ssl_target_name_override", host), ("grpc.default_authority", host)]) as c:
            call = c.stream_stream("/t.T/Echo")
            sent = []

            def requests():
                for text in (b"one", b"two", b"three"):
                    yield text
                    eventually(lambda: text.upper() in sent)

            for answer in call(requests(), timeout=PATIENCE):
                sent.append(answer)
            same(sent, [b"ONE", b"TWO", b"THREE"])


@case
def https_backends_are_spoken_to_in_tls():
    same(ask("tlsapp.box.local").json["app"], "tls")


# --- TLS ---

def s_client(*args, host="web.box.local"):
    done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:443", "-servername", host, *args],
                          input="", capture_output=True, text=True)
    return done.stdout + done.stderr


@case
def tls_is_1_2_or_1_3_with_forward_secrecy():
    has(s_client("-tls1_3"), "TLSv1.3")
    has(s_client("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"), "ECDHE-ECDSA-AES128-GCM-SHA256")
    for args in (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], ["-tls1_2", "-cipher", "AES128-SHA256:@SECLEVEL=0"],
                 ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"]):
        has(s_client(*args), "Cipher is (NONE)")


@case
def each_host_shows_its_own_certificate():
    for host, subject in {"own.example": "own.example", "web.box.local": "box"}.items():
        cert = ssl.DER_cert_to_PEM_cert(dial(host).getpeercert(True))
        has(sh("openssl", "x509", "-noout", "-subject", input=cert), subject)


@case
def http_2_is_spoken():
    out = sh("curl", "-sk", "--http2", "--resolve", "web.box.local:443:127.0.0.1", "-w", "\n%{http_version}",
             "-H", "Cookie: a=1; __Host-wherry=x; b=2", "https://web.box.local/two")
    body, version = out.rsplit("\n", 1)
    same(version, "2")
    seen = dict(json.loads(body)["headers"])
    same((seen["Host"], seen["Cookie"]), ("web.box.local", "a=1; b=2"))


@case
def tls_of_the_container_is_not_opened():
    nginx.serve([source("pass", port=PASS, host="pass.example", tls="passthrough"), source("web")])
    cert = ssl.DER_cert_to_PEM_cert(dial("pass.example").getpeercert(True))
    has(sh("openssl", "x509", "-noout", "-subject", input=cert), "the-apps-own")
    same(ask("pass.example").json["app"], "pass")
    a = ask("web.box.local", source_address="127.0.0.7")
    same((a.json["app"], a.seen["x-real-ip"]), ("app", ["127.0.0.7"]))
    a = ask("pass.example", "/x", plain=True)
    same((a.status, a.header("Location")), (301, "https://pass.example/x"))
    usual()


@case
def without_a_certificate_only_plain_routes_are_served():
    nginx.serve([source("web"), source("off", tls="off")], stems={})
    same(ask("web.box.local", plain=True).status, 503)
    same(ask("off.box.local", plain=True).status, 200)
    usual()


# --- ports ---

@case
def ports_lead_to_containers():
    for s in (dial(None, plain=True, port=1884), dial("mqtt.box.local", port=8883)):
        s.sendall(b"hello")
        same(s.recv(5), b"HELLO")
        s.close()
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.settimeout(PATIENCE)
    u.sendto(b"hello", ("127.0.0.1", 5353))
    same(u.recv(5), b"HELLO")


@case
def the_remote_api_knows_who_asks():
    ca, alice, eve = TOP + "/ca", TOP + "/alice", TOP + "/eve"
    make_pair(ca, "ca", "-addext", "basicConstraints=critical,CA:TRUE")
    for who, name in ((alice, "alice:0011"), (eve, "alice:0022")):
        sh("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", who + ".key",
           "-out", who + ".csr", "-subj", "/CN=" + name)
        sh("openssl", "x509", "-req", "-in", who + ".csr", "-CA", ca + ".crt", "-CAkey", ca + ".key", "-days", "2",
           "-out", who + ".crt")
    os.makedirs(RUN + "/api", exist_ok=True)
    backends.door(RUN + "/api/0011.sock")
    nginx.serve([source("web")], {"api-port": 2376}, api_ca=ca + ".crt", api_users=["alice:0011", "b.o-b:0033"])

    def curl(who):
        args = ["--cert", who + ".crt", "--key", who + ".key"] if who else []
        return subprocess.run(["curl", "-sk", *args, "https://127.0.0.1:2376/_ping"], capture_output=True, text=True).stdout

    has(curl(alice), '"door": "/_ping"')
    same((curl(eve), curl(None)), ("", ""))
    usual()


# --- files ---

@case
def files_of_a_volume_are_served_and_nothing_else():
    a = ask("files.box.local", "/f/a.css")
    same((a.status, a.body, a.header("Content-Type")), (200, b"css", "text/css"))
    same(ask("files.box.local", "/f/").body, b"index")
    same(ask("files.box.local", "/f").header("Location"), "/f/")
    same(ask("files.box.local", "/f/sub").header("Location"), "/f/sub/")
    same(ask("files.box.local", "/f/a.css", "POST", body=b"x").status, 405)
    for uri, status in {"/f/sub/": 403, "/f/../../secret": 400, "/f/..%2f..%2fsecret": 400, "/f/%2e%2e/x": 404, "/f/link": 403,
                        "/f/dirlink/secret": 404, "/f/.git": 404, "/f/sub/.env": 404, "/f/nothing": 404}.items():
        a = ask("files.box.local", uri)
        same((uri, a.status), (uri, status))
        assert b"secret text" not in a.body
    same(ask("sub.box.local", "/b.txt").body, b"below")
    same(ask("away.box.local", "/secret").status, 404)  # the folder itself is beyond a link


# --- the rest ---

@case
def requests_are_in_the_log_of_their_host():
    ask("web.box.local", "/logged?x", headers=[("User-Agent", "a \" b")])

    def line():
        with open(DATA + "/log/web.box.local.log") as f:
            return [x for x in f if "/logged" in x]

    eventually(line)
    has(line()[0], '"GET /logged?x HTTP/1.1" 200')
    has(line()[0], " web.box.local web ")


@case
def a_reload_keeps_connections():
    s = dial("web.box.local")
    send(s, "GET", "/x", "web.box.local")
    same(Answer(receive(s)).status, 200)
    shared.go_on.clear()
    t = dial("web.box.local")
    send(t, "GET", "/events", "web.box.local", [("Accept", "text/event-stream")])
    r = receive(t)
    same(r.read(9), b"data: 1\n\n")
    usual()
    shared.go_on.set()
    same(r.read(9), b"data: 2\n\n")


@case
def nginx_takes_what_labels_make():
    assert ingress_oracle.run(BUILD, TOP + "/oracle", 12, 1) > 60


@case
def the_longest_of_everything_is_taken_too():
    """What one may write must not break the others: nginx has limits of its own."""
    host = ".".join(["h" * 61] * 4)
    http = "wherry.http." + "n" * 63 + "."
    longest = [
        {"host": host, "path": "/" + "$" * 200, "strip_prefix": "true"},
        {"path": "/" + "\\" * 500, "strip_prefix": "true", "headers": "\n".join("%s: %s" % ("H%03d" % i * 32, "v" * 250) for i in range(64))},
        {"host": ",".join("%s%d.%s" % ("h" * 50, i, ".".join(["h" * 60] * 3)) for i in range(32)), "headers": "X: " + "v" * 3500},
        {"headers": "X: " + "$" * 218}, {"headers": "X: " + '"' * 1750},
        {"auth": "login", "users": ",".join("u" * 58 + "%02d" % i for i in range(57))},
        {"auth": "basic", "users": "/" + "$" * 200}, {"redirect": "/" + "$" * 200}, {"tls": "passthrough"},
        {"read_timeout": "576h", "body_limit": "4000000t", "rate": "100000/s,100000"},
    ]
    sources = [dict(source("c" * 63 + str(i), n=i, labels={http + k: v for k, v in dict({"host": "h%d" % i}, **fields).items()}),
                    id="%064x" % i) for i, fields in enumerate(longest)]
    for s in sources:
        s["labels"].pop("wherry.http.port", None)
    same(nginx.serve(sources + [source("web")]), "")
    same(ask("web.box.local").status, 200)
    usual()


# --- what all of them are asked of ---

def make_pair(stem, name, *more):
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
       stem + ".key", "-out", stem + ".crt", "-days", "2", "-subj", "/CN=" + name, "-addext",
       "subjectAltName=DNS:%s,DNS:*.box.local" % name, *more)


def usual():
    users = "bob:%s,eve:%s" % (sh("openssl", "passwd", "-apr1", "secret").strip(), BCRYPT)
    nginx.serve([
        source("web"),
        source("two", port=APP2, labels={
            "wherry.http.a.host": "web", "wherry.http.a.path": '/a "{};$x/\u00fc', "wherry.http.a.port": str(APP2),
            "wherry.http.b.host": "web", "wherry.http.b.path": '/b "{};$y', "wherry.http.b.port": str(APP2),
            "wherry.http.b.strip_prefix": "true",
            "wherry.http.c.host": "paths", "wherry.http.c.path": "/app/", "wherry.http.c.port": str(APP2)}),
        source("paths", labels={"wherry.http.d.host": "paths", "wherry.http.d.port": str(APP),
                                "wherry.http.e.host": "paths", "wherry.http.e.path": "/app/deep", "wherry.http.e.port": str(APP)}),
        source("own", host="., own.example", path="/own"),
        source("wild", port=APP2 + 100, host="*.wild.example"),
        source("exact", host="exact.wild.example"),
        source("strip", path="/app", strip_prefix="true"),
        source("off", tls="off"),
        source("r1", redirect="http://{host}:3000/"), source("r2", redirect="https://new.example{uri}, 301"),
        source("r3", redirect="/$host;"),
        source("r4", redirect="http://{host}b/{uri}c"),
        source("dead", port=NOBODY),
        source("coming", life=1), source("stopped", life=0),
        source("ownpage", port=NOBODY, error_page="/usr/share/50x.html"), source("nopage", port=NOBODY, error_page="none"),
        source("limits", body_limit="1k"), source("rate", rate="1/m,2"),
        source("headers", headers='X-Frame-Options: DENY "; $host {}\nX-Powered-By:\n'
                                  "Strict-Transport-Security: max-age=60; includeSubDomains\nSet-Cookie: c=d"),
        source("basic", auth="basic", users=users), source("basicfile", auth="basic", users=TOP + "/htpasswd"),
        source("login", auth="login", users="alice,@admin"),
        source("deep", path="/a" * 256, strip_prefix="true"),
        source("nows", websocket="false"), source("unbuffered", buffering="false"),
        source("grpc", port=GRPC, backend="grpc"), source("grpcs", port=GRPCS, backend="grpcs"),
        source("tlsapp", port=TLS_APP, backend="https"),
        dict(source("files", path="/f", root="site"), project="p", mounts=[SITE]),
        dict(source("sub", root="/srv/sub"), mounts=[SITE]), dict(source("away", root="/srv/dirlink"), mounts=[SITE]),
        source("ports", stream_tcp="listen=1884,port=%d" % ECHO, stream_udp="listen=5353,port=%d,protocol=udp" % ECHO,
               stream_tls="listen=8883,port=%d,tls=terminate,host=mqtt" % ECHO),
    ], own_pages=["ownpage"])
    with open(TOP + "/htpasswd", "w") as f:
        f.write(users.replace(",", "\n") + "\n")


def make_files():
    site = RUN + "/volume"
    for d in (RUN + "/tmp", site + "/sub", DATA + "/log", DATA + "/htpasswd", DATA + "/pages/own", DATA + "/ca"):
        os.makedirs(d)
    os.chmod(TOP, 0o711)
    for name in ("index.html", "ca.crt"):
        with open("%s/ca/%s" % (DATA, name), "w") as f:
            f.write(name)
    pages = {"error": "page", "starting": "starting", "stopped": "stopped", "unknown": "unknown host", "own/ownpage": "my own page"}
    for name, text in pages.items():
        with open("%s/pages/%s.html" % (DATA, name), "w") as f:
            f.write(text + ' <!--#echo var="status" --> <!--#echo var="wherry_app" default="nobody" -->')
    for name, text in {"a.css": "css", "index.html": "index", "sub/b.txt": "below", ".git": "secret text", "sub/.env": "secret text"}.items():
        with open(site + "/" + name, "w") as f:
            f.write(text)
    with open(TOP + "/secret", "w") as f:
        f.write("secret text")
    os.symlink(TOP + "/secret", site + "/link")
    os.symlink(TOP, site + "/dirlink")


SITE = {"Type": "volume", "Name": "p_site", "Source": RUN + "/volume", "Destination": "/srv"}
# of "secret", as htpasswd -B -C 4 makes it
BCRYPT = "$2y$04$GnZZUo76lbCEXciHZbq4Duh6PvqnFR7Azbcfdq/bnFIeJVoVN8JDG"
sh("ip", "link", "set", "lo", "up")
make_files()
STEMS = {"": TOP + "/default", "own.example": TOP + "/own"}
make_pair(TOP + "/default", "box")
make_pair(TOP + "/own", "own.example")
make_pair(TOP + "/pass", "the-apps-own")
backends.app(APP)
backends.app(APP2, "two")
backends.app(APP2 + 100, "wild")
backends.app(TLS_APP, "tls", TOP + "/own")
backends.app(PASS, "pass", TOP + "/pass")
backends.echo(ECHO)
backends.door(RUN + "/door.sock")
GRPC_SERVERS = [backends.grpc_app(GRPC), backends.grpc_app(GRPCS, TOP + "/own")]

failed = 0
usual()
for one in CASES:
    if len(sys.argv) > 3 and one.__name__ not in sys.argv[3:]:
        continue
    try:
        one()
        print("ok", one.__name__, flush=True)
    except Exception:
        failed += 1
        print("FAILED", one.__name__)
        print("".join("  | " + line for line in traceback.format_exc().splitlines(True)[-12:]), flush=True)
        usual()
nginx.stop()
sys.exit(1 if failed else 0)
