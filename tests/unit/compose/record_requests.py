#!/usr/bin/env python3
"""What a compose program asks of an engine: record_requests.py PROGRAM FILE... [-- WORDS...]

An engine that only answers runs for as long as PROGRAM does ("docker-compose-2.40", or
"wherry compose"), in an empty /tmp/requests; each FILE.yaml's create requests become FILE.json
beside it, one a line, without what differs between programs and machines (labels of image and
version) and with lists sorted whose order Go's maps shuffle. test_requests.c compares them with
ours. WORDS are other than "create".
--print writes them to standard output instead, to be compared with the recorded ones.
"""
import http.server
import json
import os
import shlex
import shutil
import socketserver
import subprocess
import sys
import threading
import urllib.parse

IMAGE = "sha256:" + "1" * 64
API = "1.51"
MEANT = (("Cmd", []), ("Entrypoint", []), ("Init", False), ("EnableIPv4", False), ("OomKillDisable", True))
LEFT_OUT = ("version", "image")


class Engine(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    made = {}  # as listed
    shown = {}  # as inspected
    asked = []

    def log_message(self, *words):
        pass

    def answer(self, body, code=200):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Api-Version", API)
        self.send_header("Ostype", "linux")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_any(self):
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if parts[0].startswith("v1."):
            parts = parts[1:]
        query = dict(urllib.parse.parse_qsl(url.query))
        body = self.body()
        kind = parts[0]
        if kind == "_ping":
            return self.answer("OK")
        if kind == "version":
            return self.answer({"ApiVersion": API, "MinAPIVersion": "1.24", "Version": "28.3.3", "Os": "linux", "Arch": "amd64"})
        if kind == "info":
            return self.answer({"OSType": "linux", "SecurityOptions": [], "Swarm": {"LocalNodeState": "inactive"}})
        if kind == "images":
            return self.answer({"Id": IMAGE, "Os": "linux", "Architecture": "amd64", "RepoTags": [], "Config": {}})
        if self.command == "GET" and parts[-1] == "json" and len(parts) == 2:
            wanted = json.loads(query.get("filters", "{}")).get("label", {})
            return self.answer([o for k, o in self.made.items() if k[0] == "containers" and all(is_labelled(o, w) for w in wanted)])
        if self.command == "GET" and len(parts) == 1:
            found = [o for k, o in self.made.items() if k[0] == kind]
            return self.answer({"Volumes": found, "Warnings": None} if kind == "volumes" else found)
        if self.command == "GET":
            found = self.shown.get((kind, parts[1]))
            return self.answer(found or {"message": f"no such {kind}: {parts[1]}"}, 200 if found else 404)
        if self.command == "POST" and parts[-1] == "create":
            return self.create(kind, query, json.loads(body))
        if self.command == "PUT":
            self.asked.append({"archive": len(body)})
            return self.answer({})
        return self.answer({"message": "not here: " + self.path}, 501)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_any

    def create(self, kind, query, body):
        name = query.get("name", body.get("Name", ""))
        ident = "id-of-" + name
        made = {"Id": ident, "Name": name, "Names": ["/" + name], "Labels": body.get("Labels") or {}, "Driver": "x",
                "State": "created", "ImageID": IMAGE, "Image": IMAGE, "Config": {"Labels": body.get("Labels") or {}}, "Mounts": [],
                "HostConfig": {"NetworkMode": "x"}, "NetworkSettings": {"Networks": {}}}
        if kind == "containers":
            self.made[kind, ident] = made
        else:
            self.made[kind, name] = made
        inspected = made | {"State": {"Status": "created"}} if kind == "containers" else made
        self.shown[kind, name] = self.shown[kind, ident] = inspected
        self.asked.append({"create": kind, **({"query": query} if query else {}), "body": body})
        return self.answer({"Id": ident, "Name": name, "Warnings": []}, 201)


def is_labelled(made, label):
    key, _, value = label.partition("=")
    return made["Labels"].get(key) == value if "=" in label else key in made["Labels"]


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 100

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("peer", 0)


def without(value):
    """No label that differs between programs, nothing that is empty: Go writes empty members, others leave them out."""
    if isinstance(value, dict):
        kept = {k: without(v) for k, v in value.items() if not (k.startswith("com.docker.compose.") and k.split(".")[-1] in LEFT_OUT)}
        return {k: v for k, v in sorted(kept.items()) if v not in (None, "", [], {}, False, 0, [0, 0]) or (k, v) in MEANT}
    if isinstance(value, list):
        # an empty map or text in a list, or in a map of sets, means something
        return [without(v) for v in value]
    return value


def ports_of(exposed):
    """Every port by itself and with its protocol, as the engine takes them."""
    ports = {}
    for key in exposed or {}:
        numbers, _, protocol = key.partition("/")
        first, _, last = numbers.partition("-")
        for n in range(int(first), int(last or first) + 1):
            ports[f"{n}/{protocol or 'tcp'}"] = {}
    return ports


def cleaned(requests):
    for r in requests:
        body = r.get("body", {})
        ports = ports_of(body.pop("ExposedPorts", None))
        tmpfs = body.get("HostConfig", {}).pop("Tmpfs", None)
        labels = body.pop("Labels", None) or {}
        r["body"] = without(body)
        for key, value in (("ExposedPorts", ports), ("Labels", {k: v for k, v in labels.items() if k.split(".")[-1] not in LEFT_OUT
                                                               or not k.startswith("com.docker.compose.")})):
            if value:
                r["body"][key] = dict(sorted(value.items()))
        if "Labels" in r["body"] and "com.docker.compose.depends_on" in r["body"]["Labels"]:
            depends = r["body"]["Labels"]["com.docker.compose.depends_on"]
            r["body"]["Labels"]["com.docker.compose.depends_on"] = ",".join(sorted(depends.split(",")))
        if tmpfs:
            r["body"]["HostConfig"]["Tmpfs"] = dict(sorted(tmpfs.items()))
        host = r["body"].get("HostConfig", {})
        for key, by in (("Ulimits", "Name"), ("Mounts", "Target")):
            host.get(key, []).sort(key=lambda o: o[by])
        for key in ("Binds", "ExtraHosts"):
            host.get(key, []).sort()
        for endpoint in r["body"].get("NetworkingConfig", {}).get("EndpointsConfig", {}).values():
            for key in ("IPAddress", "IPv6Gateway"):  # docker compose repeats the addresses there: no engine looks
                endpoint.pop(key, None)
        if "Env" in r["body"]:
            r["body"]["Env"].sort()
    order = {"networks": 0, "volumes": 1, "containers": 2}
    return sorted((r for r in requests if "create" in r), key=lambda r: (order[r["create"]], r.get("query", {}).get("name", r["body"].get("Name", ""))))


def record(program, path, words):
    Engine.made, Engine.shown, Engine.asked = {}, {}, []
    for kind in ("networks", "containers"):
        there = {"Id": "outer", "Name": "outer", "Names": ["/outer"], "Labels": {}, "State": "running", "Config": {"Labels": {}}}
        Engine.made[kind, "outer"] = there
        Engine.shown[kind, "outer"] = there | {"State": {"Status": "running"}}
    place = "/tmp/requests"
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    shutil.copy(path, place + "/compose.yaml")
    for name, text in (("label.txt", "FROM_FILE=yes\n"), ("env.txt", "FROM_ENV_FILE=1\n"), ("secret.txt", "s\n"),
                       ("seccomp.json", '{"defaultAction":  "SCMP_ACT_ALLOW"}\n')):
        with open(f"{place}/{name}", "w", encoding="ascii") as f:
            f.write(text)
    address = place + "/engine.sock"
    server = Server(address, Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {"PATH": os.environ["PATH"], "HOME": place, "DOCKER_HOST": "unix://" + address, "COMPOSE_PROJECT_NAME": "g", "GIVEN": "given"}
    run = subprocess.run(shlex.split(program) + (words or ["create"]), cwd=place, env=env, capture_output=True, text=True, timeout=60, check=False)
    server.shutdown()
    if run.returncode:
        sys.stderr.write(f"{path}: exit {run.returncode}: {run.stderr}")
    return cleaned(Engine.asked)


def main():
    args = sys.argv[1:]
    words = []
    if "--" in args:
        at = args.index("--")
        args, words = args[:at], args[at + 1:]
    show = "--print" in args
    program, *files = [a for a in args if a != "--print"]
    for path in files:
        text = "[\n" + ",\n".join(json.dumps(r) for r in record(program, path, words)) + "\n]\n"
        if show:
            print(text, end="")
        else:
            with open(path.removesuffix(".yaml") + ".json", "w", encoding="utf-8") as f:
                f.write(text)


if __name__ == "__main__":
    main()
