"""ingress_oracle.py BUILD CONFIGURATIONS [SEED] - nginx -t takes whatever labels make of its configuration.

Made-up containers, 20 to a configuration, whose labels are put together of what breaks configurations. Each must pass nginx -t,
and `nginx -T` must find in it the servers and locations that there would be for harmless texts. Thousands for a person who changes
the writer; a few with each run of ingress_conf.sh.
"""
import json
import os
import random
import re
import subprocess
import sys
import tempfile

BITS = ['"', "'", "\\", "$", "${", "}", "{", ";", "#", " ", "\t", "\n", "\r\n", "\x00", "\x01", "\x7f", "\x85", "~", "^", "*", "(", ")",
        "[", "]", "|", "?", "+", ".", "..", "/", "//", "%", "%2f", "%00", "=", "@", ":", ",", "&", "<", ">", "`", "!", "-", "_", "\u00fc",
        "\u4e2d", "\U0001f600", "\u2028", "\ufeff", "a", "b", "0", "${wherry_dollar}", "$uri", "$1", "\\n", "\\\"", "\\\\", "*/", "lua",
        '"; } server { listen 81; } #', "; return 200 x;", "\n}\nhttp {", "\\$", "include /etc/passwd;", "\u202e"]
HOSTS = ["a.example", "*.b.example", "c", ".", "@", "xn--mller-kva.example", "M\u00fcller.example", "1.2.3.4", "~x", "", "a b", "d.e.f.example"]


def noise(r, most=6):
    if r.random() < 0.01:
        return r.choice(BITS) * r.choice((4096, 100000))
    return "".join(r.choice(BITS) for _ in range(r.randrange(most)))


def value(r, field):
    if r.random() < 0.05:
        return noise(r)
    sane = {
        "host": lambda: r.choice(HOSTS) if r.random() < 0.2 else "h%d.example" % r.randrange(10 ** 9),
        "path": lambda: "/" + noise(r, 5) + r.choice(("", "/", "/x")),
        "port": lambda: str(r.randrange(-1, 70000)),
        "auth": lambda: r.choice(("none", "basic", "login")),
        "users": lambda: r.choice(("bob", "@admin", "u:$apr1$x$" + noise(r, 2), "/" + noise(r), "a,b,@read", "n" + noise(r, 2) + ":$2y$x")),
        "headers": lambda: r.choice((json.dumps({"X-%d" % i: noise(r) for i in range(r.randrange(5))}),
                                     "; ".join("X-%d: %s" % (i, noise(r)) for i in range(r.randrange(5))), "X" + noise(r))),
        "redirect": lambda: r.choice(("/", "https://x.example/", "{uri}", "http://{host}")) + noise(r, 3) + r.choice(("", ",301", ", 999")),
        "error_page": lambda: r.choice(("none", "/" + noise(r))),
        "tls": lambda: r.choice(("terminate", "passthrough", "off")),
        "backend": lambda: r.choice(("http", "https", "grpc", "grpcs")),
        "rate": lambda: r.choice(("10/s", "100/m,5", "1/s,0", noise(r))),
        "root": lambda: r.choice(("vol", "vol/" + noise(r), "/data/" + noise(r))),
        "read_timeout": lambda: r.choice(("1h", "90", "1ms", noise(r))),
        "body_limit": lambda: r.choice(("10m", "1.5g", "0", noise(r))),
    }
    return sane.get(field, lambda: r.choice(("true", "false")))()


FIELDS = ("host", "path", "port", "strip_prefix", "auth", "users", "websocket", "read_timeout", "body_limit", "headers", "redirect",
          "error_page", "tls", "backend", "buffering", "rate", "root")
LIKELY = ("path", "strip_prefix", "headers", "error_page", "body_limit", "rate", "read_timeout", "redirect")


def container(r, i):
    labels = {"wherry.http.host": value(r, "host")}
    for _ in range(r.randrange(4)):
        field = r.choice(LIKELY if r.random() < 0.6 else FIELDS)
        labels["wherry.http." + (r.choice(("", "", "two.", noise(r, 2) + ".")) if r.random() < 0.2 else "") + field] = value(r, field)
    if "login" == labels.get("wherry.http.auth"):
        labels["wherry.http.users"] = r.choice(("bob", "@admin,eve"))
    if "basic" == labels.get("wherry.http.auth"):
        labels["wherry.http.users"] = value(r, "users")
    if r.random() < 0.1:
        labels["wherry.stream.s" + noise(r, 2)] = "listen=%d,port=%s,tls=%s" % (r.randrange(1, 65535), r.choice(("1", noise(r))),
                                                                             r.choice(("none", "terminate")))
    return {"id": "%064x" % i, "name": r.choice(("web", "A.b_c", "x")) + str(i), "created": i, "life": r.choice((0, 1, 2, 2, 2)),
            "address": r.choice(("127.0.0.1", "fd00::1")), "labels": {k: v for k, v in labels.items()}}


class Oracle:
    def __init__(self, build, top):
        self.tool, self.top = build + "/tests/unit/ingress/ingress-model", top
        for d in ("run/tmp", "data/log", "data/htpasswd"):
            os.makedirs(top + "/" + d, exist_ok=True)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        top + "/c.key", "-out", top + "/c.crt", "-days", "2", "-subj", "/CN=c"], check=True, capture_output=True)

    def text(self, sources, seed):
        r = random.Random(seed)
        settings = {"http-port": 8000, "https-port": 8443, "trusted-proxies": ["10.0.0.0/8"] if r.random() < 0.3 else []}
        # jansson refuses NUL in what it reads, as the API does: such containers are not made
        model = {"settings": settings, "run": self.top + "/run", "data": self.top + "/data", "stems": {"": self.top + "/c"},
                 "login": r.random() < 0.7, "sources": sources}
        return subprocess.run([self.tool], input=json.dumps(model), capture_output=True, text=True, encoding="utf-8")

    def check(self, sources, seed):
        """What is wrong, or None; and how many routes there were."""
        made = self.text(sources, seed)
        if made.returncode != 0:
            return "not written: " + made.stderr[-300:], 0
        path = self.top + "/nginx.conf"
        with open(path, "w") as f:
            f.write(made.stdout)
        test = subprocess.run(["nginx", "-t", "-q", "-c", path, "-p", self.top], capture_output=True, text=True, errors="replace")
        if test.returncode != 0:
            return test.stderr[-300:], 0
        return None, len(re.findall(r"^\t\tlocation \^~ \"", made.stdout, re.M))


def run(build, top, configurations, seed=0, say=lambda text: None):
    """Raises with the containers that nginx does not take; returns how many routes it took."""
    oracle = Oracle(build, top)
    routes = 0
    for n in range(configurations):
        r = random.Random("%s %s" % (seed, n))
        sources = [container(r, i) for i in range(20)]
        sources = [s for s in sources if "\0" not in json.dumps(s).replace("\\u0000", "\0")]
        wrong, taken = oracle.check(sources, n)
        routes += taken
        if wrong:
            alone = [(s, oracle.check([s], n)[0]) for s in sources]
            raise AssertionError("%s\n%s" % (wrong, "\n".join("%s: %r" % (why, s["labels"]) for s, why in alone if why)))
        if n % 100 == 99:
            say("%d configurations, %d routes" % (n + 1, routes))
    return routes


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="wherry-oracle.") as folder:
        print(run(sys.argv[1], folder, int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else 0, lambda t: print(t, flush=True)), "routes")
