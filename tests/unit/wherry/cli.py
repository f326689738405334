#!/usr/bin/env python3
"""cli.py WHERRY - the real program against a small fake engine: what it sends, what it prints, how it ends.

No root, no network: everything is a socket in a temporary directory. Streams with a real engine are tested in
tests/integration.
"""
import base64
import io
import json
import os
import re
import socketserver
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler

WHERRY = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else "wherry"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def address_string(self):
        return "client"

    def read_chunk(self):
        size = int(self.rfile.readline(), 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while True:
                part = self.read_chunk()
                if not part:
                    return b"".join(parts)
                parts.append(part)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, status, doc):
        text = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if text:  # a client that was told of none may have left
            self.wfile.write(text)

    def handle_any(self):
        path = self.path.split("?")[0]
        early = self.server.routes.get(("EARLY", path))
        if early:
            early(self)
            return
        body = self.body()
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        answer = self.server.routes.get((self.command, path))
        if callable(answer):
            answer = answer(self, body)
        if answer is None:
            answer = (404, {"message": "no such route: " + self.path})
        if answer != "done":
            self.reply(*answer)

    do_GET = do_POST = do_DELETE = handle_any


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Engine(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="wherry-cli-")
        self.dir = self.temporary.name
        self.socket = os.path.join(self.dir, "sock")
        self.server = Server(self.socket, Handler)
        self.server.routes = {}
        self.server.seen = []
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.env = {"PATH": self.dir + ":" + os.environ["PATH"], "HOME": self.dir, "TZ": "UTC",
                    "WHERRY_HOST": "unix://" + self.socket, "DOCKER_CONFIG": self.dir}

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()
        self.temporary.cleanup()

    def run_cli(self, *args, stdin=b"", cwd=None, env=None):
        p = subprocess.run([WHERRY, *args], input=stdin, capture_output=True, timeout=30, cwd=cwd,
                           env={**self.env, **(env or {})})
        return p.returncode, p.stdout.decode(), p.stderr.decode()

    def config(self, doc):
        with open(os.path.join(self.dir, "config.json"), "w", encoding="utf-8") as f:
            json.dump(doc, f)

    def helper(self, name, script):
        path = os.path.join(self.dir, "docker-credential-" + name)
        with open(path, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\n" + script)
        os.chmod(path, 0o755)

    def sent(self, method, path):
        return [s for s in self.server.seen if s[0] == method and s[1].split("?")[0] == path]


def decode(header):
    return json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))


class Credentials(Engine):
    def pull(self, image):
        self.server.routes["POST", "/images/create"] = (200, b'{"status":"ok"}\r\n')
        self.server.routes["GET", "/info"] = (200, {"IndexServerAddress": "https://default.example/v1/"})
        code, _, err = self.run_cli("pull", image)
        self.assertEqual(code, 0, err)
        header = self.sent("POST", "/images/create")[-1][2].get("X-Registry-Auth")
        return decode(header) if header else None

    def auth(self, text):
        return {"auth": base64.b64encode(text.encode()).decode()}

    def test_a_login_is_sent_only_to_its_registry(self):
        self.config({"auths": {"r.example:5000": self.auth("me:se:cret?>"), "https://default.example/v1/": self.auth("d:e")}})
        self.assertEqual(self.pull("r.example:5000/a/b:1"),
                         {"username": "me", "password": "se:cret?>", "serveraddress": "r.example:5000"})
        self.assertIsNone(self.pull("other.example/a"))
        self.assertEqual(self.pull("alpine")["username"], "d")

    def test_older_keys_with_a_scheme_are_found(self):
        self.config({"auths": {"https://r.example/v1/": self.auth("me:x")}})
        self.assertEqual(self.pull("r.example/a")["username"], "me")

    def test_helpers_are_asked(self):
        self.config({"credsStore": "all", "credHelpers": {"r.example": "one"}})
        self.helper("all", 'read s; echo "{\\"Username\\":\\"all-$1-$s\\",\\"Secret\\":\\"x\\"}"\n')
        self.helper("one", 'echo \'{"Username":"<token>","Secret":"tok"}\'\n')
        self.assertEqual(self.pull("q.example/a")["username"], "all-get-q.example")
        self.assertEqual(self.pull("r.example/a")["identitytoken"], "tok")

    def test_a_helper_without_credentials_is_silent(self):
        self.config({"credsStore": "none"})
        self.helper("none", 'echo "credentials not found in native keychain"; exit 1\n')
        self.assertIsNone(self.pull("q.example/a"))

    def test_login_and_logout_keep_the_rest_of_the_file(self):
        self.config({"detachKeys": "ctrl-a", "auths": {}})
        self.server.routes["POST", "/auth"] = (200, {"Status": "Login Succeeded", "IdentityToken": ""})
        code, out, err = self.run_cli("login", "-u", "me", "--password-stdin", "r.example", stdin=b"pw\n")
        self.assertEqual((code, out), (0, "Login Succeeded\n"), err)
        path = os.path.join(self.dir, "config.json")
        with open(path, encoding="utf-8") as f:
            doc = json.load(f)
        self.assertEqual(doc["auths"], {"r.example": self.auth("me:pw")})
        self.assertEqual(doc["detachKeys"], "ctrl-a")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(self.run_cli("logout", "r.example")[0], 0)
        with open(path, encoding="utf-8") as f:
            self.assertEqual(json.load(f), {"detachKeys": "ctrl-a", "auths": {}})

    def test_a_refused_login_stores_nothing(self):
        self.server.routes["POST", "/auth"] = (401, {"message": "unauthorized"})
        code, _, err = self.run_cli("login", "-u", "me", "-p", "pw", "r.example")
        self.assertEqual(code, 1)
        self.assertIn("Error response from daemon: unauthorized", err)
        self.assertFalse(os.path.exists(os.path.join(self.dir, "config.json")))

    def test_a_helper_stores_the_login(self):
        self.config({"credsStore": "keep"})
        self.helper("keep", f'cat >"{self.dir}/stored-$1"\n')
        self.server.routes["POST", "/auth"] = (200, {"Status": "Login Succeeded"})
        code, _, err = self.run_cli("login", "-u", "me", "--password-stdin", "r.example", stdin=b"pw")
        self.assertEqual((code, err), (0, ""))
        with open(self.dir + "/stored-store", encoding="utf-8") as f:
            self.assertEqual(json.load(f), {"ServerURL": "r.example", "Username": "me", "Secret": "pw"})
        with open(self.dir + "/config.json", encoding="utf-8") as f:
            self.assertNotIn("pw", f.read())


class Running(Engine):
    def start_fails(self, message):
        self.server.routes["POST", "/containers/create"] = (201, {"Id": "c1", "Warnings": ["careful"]})
        self.server.routes["POST", "/containers/c1/start"] = (400, {"message": message})
        return self.run_cli("run", "-d", "img", "nope")

    def test_the_status_says_why_a_command_did_not_start(self):
        code, _, err = self.start_fails('exec: "nope": executable file not found in $PATH')
        self.assertEqual(code, 127)
        self.assertIn("WARNING: careful\n", err)
        self.assertIn("wherry: Error response from daemon: exec:", err)
        self.assertEqual(self.start_fails("exec /etc: permission denied")[0], 126)
        self.assertEqual(self.start_fails("no space")[0], 125)

    def test_a_missing_image_is_pulled_once(self):
        answers = [(404, {"message": "No such image: img:latest"}), (201, {"Id": "c1"})]
        self.server.routes["POST", "/containers/create"] = lambda h, b: answers.pop(0)
        self.server.routes["POST", "/images/create"] = (200, b'{"status":"Pulling from library/img","id":"latest"}\r\n')
        code, out, err = self.run_cli("create", "img")
        self.assertEqual((code, out), (0, "c1\n"))
        self.assertEqual(err, "Unable to find image 'img:latest' locally\nlatest: Pulling from library/img\n")

    def test_another_missing_thing_is_not_pulled(self):
        self.server.routes["POST", "/containers/create"] = (404, {"message": "network x not found"})
        self.assertEqual(self.run_cli("run", "-d", "--network", "x", "img")[0], 125)
        self.assertEqual(self.sent("POST", "/images/create"), [])

    def test_the_cidfile_is_written_and_never_replaced(self):
        path = self.dir + "/cid"
        self.server.routes["POST", "/containers/create"] = (201, {"Id": "c1"})
        self.assertEqual(self.run_cli("create", "--cidfile", path, "img")[0], 0)
        with open(path, encoding="utf-8") as f:
            self.assertEqual(f.read(), "c1")
        code, _, err = self.run_cli("create", "--cidfile", path, "img")
        self.assertEqual(code, 1)
        self.assertIn("container ID file found", err)

    def test_the_output_and_the_status_are_the_containers(self):
        def attach(h, body):
            h.send_response(101)
            h.send_header("Connection", "Upgrade")
            h.end_headers()
            started.wait(10)
            for kind, text in ((1, b"out\n"), (2, b"err\n"), (1, b"x" * 100000)):
                h.wfile.write(bytes([kind, 0, 0, 0]) + len(text).to_bytes(4, "big") + text)
            h.close_connection = True
            return "done"

        def wait(h, body):
            waiting.set()  # before the head: the client may start as soon as it has read it
            h.send_response(200)
            h.send_header("Transfer-Encoding", "chunked")
            h.end_headers()
            started.wait(10)
            text = b'{"StatusCode":42}'
            h.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text))
            return "done"

        def start(h, body):
            order.append(waiting.is_set())
            started.set()
            return 204, b""

        started, waiting, order = threading.Event(), threading.Event(), []
        self.server.routes["POST", "/containers/create"] = (201, {"Id": "c1"})
        self.server.routes["POST", "/containers/c1/attach"] = attach
        self.server.routes["POST", "/containers/c1/wait"] = wait
        self.server.routes["POST", "/containers/c1/start"] = start
        code, out, err = self.run_cli("run", "--rm", "img")
        self.assertEqual((code, out, err), (42, "out\n" + "x" * 100000, "err\n"))
        self.assertEqual(order, [True])  # nothing starts before we wait for its end
        self.assertIn("condition=removed", self.sent("POST", "/containers/c1/wait")[0][1])

    def test_a_tty_needs_one(self):
        code, _, err = self.run_cli("run", "-it", "img")
        self.assertEqual((code, err), (1, "the input device is not a TTY\n"))
        self.assertEqual(self.server.seen, [])


class Sending(Engine):
    def context(self, *args, cwd=None, stdin=b""):
        self.server.routes["POST", "/build"] = (200, b'{"stream":"Successfully built 1\\n"}\r\n{"aux":{"ID":"sha256:1"}}\r\n')
        code, out, err = self.run_cli("build", *args, cwd=cwd, stdin=stdin)
        self.assertEqual(code, 0, err)
        _, path, headers, body = self.sent("POST", "/build")[-1]
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            return path, headers, {m.name: (m, tar.extractfile(m).read() if m.isfile() else None) for m in tar}

    def tree(self, files):
        root = os.path.join(self.dir, "ctx")
        for name, text in files.items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        return root

    def test_the_context_leaves_out_what_is_ignored(self):
        root = self.tree({"Dockerfile": "FROM x", "a": "1", "b.log": "2", "d/keep": "3", "d/drop": "4", "e/f": "5",
                          ".dockerignore": "*.log\nd/*\n!d/keep\ne\nDockerfile\n"})
        os.symlink("/etc/passwd", os.path.join(root, "link"))
        path, _, files = self.context("-t", "a:b", "--build-arg", "X=1", "--build-arg", "HOME", ".", cwd=root)
        self.assertEqual(sorted(files), [".dockerignore", "Dockerfile", "a", "d", "d/keep", "link"])
        self.assertEqual(files["link"][0].linkname, "/etc/passwd")
        self.assertEqual({m.uid for m, _ in files.values()}, {0})
        self.assertIn("t=a%3Ab", path)
        self.assertIn("buildargs=" + "%7B%22X%22%3A%221%22%2C%22HOME%22%3A%22", path)

    def test_a_dockerfile_from_elsewhere_joins_the_context(self):
        root = self.tree({"a": "1"})
        other = os.path.join(self.dir, "Other")
        with open(other, "w", encoding="utf-8") as f:
            f.write("FROM other")
        path, _, files = self.context("-f", other, root)
        name = [n for n in files if n.startswith(".dockerfile.")][0]
        self.assertIn("dockerfile=" + name, path)
        self.assertEqual(files[name][1], b"FROM other")
        _, _, files = self.context("-", stdin=b"FROM stdin")
        self.assertEqual({n: t for n, (_, t) in files.items()}, {"Dockerfile": b"FROM stdin"})

    def test_an_archive_on_stdin_is_the_context(self):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            tar.add(self.tree({"Dockerfile": "FROM x"}), "/")
        self.server.routes["POST", "/build"] = (200, b"")
        self.assertEqual(self.run_cli("build", "-", stdin=out.getvalue())[0], 0)
        self.assertEqual(self.sent("POST", "/build")[0][3], out.getvalue())

    def test_a_failed_build_ends_with_its_code(self):
        self.server.routes["POST", "/build"] = (
            200, b'{"stream":"Step 1\\n"}\r\n{"errorDetail":{"code":7,"message":"it broke"},"error":"it broke"}\r\n')
        root = self.tree({"Dockerfile": "FROM x"})
        code, out, err = self.run_cli("build", root)
        self.assertEqual((code, err), (7, "it broke\n"))
        code, out, err = self.run_cli("build", "-q", root)
        self.assertEqual((code, out, err), (7, "", "Step 1\nit broke\n"))

    def test_progress_during_a_load_does_not_cut_the_archive(self):
        def load(h):
            h.send_response(200)
            h.send_header("Transfer-Encoding", "chunked")
            h.end_headers()
            total = 0
            while True:
                part = h.read_chunk()
                total += len(part)
                text = b'{"status":"got %d"}\r\n' % total if part else b'{"stream":"all %d\\n"}' % total
                h.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
                if not part:
                    h.wfile.write(b"0\r\n\r\n")
                    return

        self.server.routes["EARLY", "/images/load"] = load
        code, out, err = self.run_cli("load", stdin=b"z" * 5000000)
        self.assertEqual((code, out.splitlines()[-1]), (0, "all 5000000"), err)

    def test_an_early_error_ends_the_sending(self):
        def refuse(h):
            h.reply(413, {"message": "too large"})
            h.close_connection = True

        self.server.routes["EARLY", "/images/load"] = refuse
        code, _, err = self.run_cli("load", stdin=b"z" * 20000000)
        self.assertEqual((code, err), (1, "Error response from daemon: too large\n"))


class Talking(Engine):
    def test_hosts_are_chosen_in_order(self):
        self.server.routes["GET", "/containers/json"] = (200, [])
        none = "unix://" + self.dir + "/none"
        self.assertEqual(self.run_cli("-H", "unix://" + self.socket, "ps", "-q", env={"WHERRY_HOST": none})[0], 0)
        self.assertEqual(self.run_cli("ps", "-q", env={"DOCKER_HOST": none})[0], 0)
        code, _, err = self.run_cli("ps", env={"WHERRY_HOST": none})
        self.assertEqual(code, 1)
        self.assertEqual(err, f"Cannot connect to the Wherry daemon at {none}. Is the daemon running?\n")

    def test_strange_names_are_encoded(self):
        self.run_cli("inspect", "--type", "container", "a b?c#d")
        self.assertEqual(self.server.seen[0][1], "/containers/a%20b%3Fc%23d/json")

    def test_filters_become_json(self):
        self.server.routes["GET", "/containers/json"] = (200, [])
        self.run_cli("ps", "-f", "label=a=b", "-f", "label=c", "-f", "name=x")
        self.assertIn("filters=%7B%22label%22%3A%7B%22a%3Db%22%3Atrue%2C%22c%22%3Atrue%7D%2C%22name", self.server.seen[0][1])

    def test_a_broken_answer_is_an_error(self):
        self.server.routes["GET", "/containers/json"] = (200, b'[{"Id":')
        self.assertEqual(self.run_cli("ps")[0], 1)
        self.server.routes["GET", "/containers/json"] = (500, b"<html>")
        self.assertEqual(self.run_cli("ps")[0], 1)

    def test_every_command_has_help(self):
        code, out, _ = self.run_cli("--help")
        self.assertEqual(code, 0)
        words = [line.split()[0] for line in out.splitlines() if line.startswith("  ") and line[2:3].islower()]
        commands = []
        for word in words:
            below = self.run_cli(word, "--help")[1].split("\nCommands:\n")
            subs = [line.split()[0] for line in below[-1].splitlines() if line.startswith("  ")] if below[1:] else []
            commands += [word] + [f"{word} {sub}" for sub in subs if sub != "version"]
        self.assertIn("system prune", commands)
        self.assertIn("container ls", commands)
        for command in commands:
            code, out, err = self.run_cli(*command.split(), "--help")
            self.assertEqual((code, err), (0, ""), command)
            self.assertTrue(out.startswith("Usage:  wherry " + command), command + ": " + out[:60])
        self.assertEqual(self.server.seen, [])

    def test_the_manual_has_what_the_helps_have(self):
        page = self.run_cli("__manual")[1].replace("\\-", "-")
        sections = {part.split(" \\fR")[0]: part for part in page.split("\n.SS wherry ")[1:]}
        self.assertGreater(len(sections), 50)
        for command, section in sections.items():
            _, out, _ = self.run_cli(*command.split(), "--help")
            flags = re.findall(r"^  (?:-\w, |    )--([a-z0-9-]+)", out, re.M)
            listed = re.findall(r"^\\fB(?:-\w\\fR, \\fB)?--([a-z0-9-]+)\\fR", section, re.M)
            self.assertEqual(sorted(set(flags)), sorted(set(listed)), command)
        self.assertEqual(self.server.seen, [])

    def complete(self, *words):
        code, out, err = self.run_cli("__complete", "--", *words)
        self.assertEqual((code, err), (0, ""))
        return [line.split("\t")[0] for line in out.splitlines()]

    def test_completion_knows_the_tables(self):
        self.assertEqual(self.complete("run", "--cap-"), ["--cap-add", "--cap-drop", ":words"])
        self.assertEqual(self.complete("run", "--pull", "m"), ["missing", ":words"])
        self.assertEqual(self.complete("run", "--pull=m"), ["--pull=missing", ":words"])
        self.assertEqual(self.complete("ps", "--filter", "anc"), ["ancestor=", ":words"])
        self.assertEqual(self.complete("container", "pru"), ["prune", ":words"])
        self.assertEqual(self.complete("network", "create", "-d", "mac"), ["macvlan", ":words"])
        self.assertEqual(self.complete("compose", "up", "--no-bu"), ["--no-build", ":words"])
        self.assertEqual(self.complete("nosuch", ""), [":files"])
        self.assertEqual(self.server.seen, [])

    def test_completion_asks_for_names(self):
        self.server.routes["GET", "/containers/json"] = (200, [{"Names": ["/up"], "State": "running"}, {"Names": ["/off"], "State": "exited"}])
        self.server.routes["GET", "/images/json"] = (200, [{"RepoTags": ["app:latest", "app:1"]}])
        self.server.routes["GET", "/networks"] = (200, [{"Name": "net"}])
        self.server.routes["GET", "/volumes"] = (200, {"Volumes": [{"Name": "vol"}]})
        self.assertEqual(self.complete("rm", ""), ["up", "off", ":words"])
        self.assertEqual(self.complete("start", ""), ["off", ":words"])
        self.assertEqual(self.complete("exec", "-it", ""), ["up", ":words"])
        self.assertEqual(self.complete("exec", "-it", "up", ""), [":files"])
        self.assertEqual(self.complete("run", "--rm", "-e", "A=B", "a"), ["app", "app:1", ":words"])
        self.assertEqual(self.complete("run", "--network", "n"), ["net", ":words"])
        self.assertEqual(self.complete("volume", "rm", ""), ["vol", ":words"])
        self.assertEqual(self.complete("network", "connect", "net", "u"), ["up", ":words"])
        self.assertEqual(self.complete("inspect", "v"), ["vol", ":words"])

    def test_completion_is_silent_without_an_engine(self):
        self.assertEqual(self.complete("-H", "unix:///nonexistent", "rm", ""), [":words"])

    def test_formats_and_headers_of_the_config_are_used(self):
        self.config({"psFormat": "{{.Names}}", "HttpHeaders": {"X-Meta": "x"}})
        self.server.routes["GET", "/containers/json"] = (200, [{"Id": "c" * 64, "Names": ["/a"], "State": "running"}])
        self.assertEqual(self.run_cli("ps")[:2], (0, "a\n"))
        self.assertEqual(self.run_cli("ps", "-q")[:2], (0, "c" * 12 + "\n"))
        self.assertEqual(self.run_cli("ps", "--format", "{{.State}}")[:2], (0, "running\n"))
        self.config({"statsFormat": "{{.Nam"})
        self.assertIn("template parsing error", self.run_cli("stats", "--no-stream")[2])

    def test_flags_of_buildx_change_nothing_or_are_refused(self):
        self.server.routes["POST", "/build"] = (200, {"stream": "built\n"})
        self.config({})
        context = tempfile.mkdtemp(dir=self.dir)
        with open(context + "/Dockerfile", "w") as f:
            f.write("FROM scratch\n")
        for flag in ("--progress=plain", "--load", "--provenance=false", "--builder=default"):
            self.assertEqual(self.run_cli("build", flag, context)[0], 0)
        for flag in ("--secret=id=HOME", "--output=out", "--push", "--cache-to=x", "--build-context=a=/", "--metadata-file=m"):
            code, _, err = self.run_cli("build", "-t", "x", flag, context)
            self.assertNotEqual(code, 0)
            self.assertIn("needs BuildKit", err)

    def test_absent_commands_are_refused_in_words(self):
        for words in (["trust", "x"], ["swarm", "init"], ["buildx", "create"], ["context", "create", "x"]):
            code, out, err = self.run_cli(*words)
            self.assertEqual((code, out), (1, ""))
            self.assertIn("there is no 'wherry " + " ".join(words[:2]) if words[0] == "context" else "there is no", err)

    def test_push_shows_messages_and_the_error_among_them(self):
        text = ('{"status":"The push refers to repository [r/x]"}\r\n{"status":"Preparing","progressDetail":{},"id":"a1"}\r\n'
                '{"status":"Pushing","progressDetail":{"current":1,"total":2},"id":"a1"}\r\n'
                '{"errorDetail":{"message":"denied: no"},"error":"denied: no"}\r\n')
        self.server.routes["POST", "/images/r.io/x/push"] = (200, text.encode())
        shown = "The push refers to repository [r/x]\na1: Preparing\n"
        self.assertEqual(self.run_cli("push", "r.io/x:1"), (1, shown, "denied: no\n"))
        self.assertEqual(self.run_cli("image", "push", "-q", "r.io/x:1"), (1, "", "denied: no\n"))
        self.assertEqual(self.run_cli("push", "-a", "r.io/x:1")[0], 1)

    def test_search_sorts_by_stars_and_cuts(self):
        self.server.routes["GET", "/images/search"] = (200, [
            {"name": "few", "description": "a\nb", "star_count": 1, "is_official": False, "is_automated": False},
            {"name": "many", "description": "x" * 50, "star_count": 7, "is_official": True, "is_automated": False}])
        code, out, _ = self.run_cli("search", "--format", "{{.Name}}|{{.Description}}|{{.StarCount}}|{{.IsOfficial}}", "x")
        self.assertEqual((code, out), (0, "many|" + "x" * 44 + "…|7|[OK]\nfew|a b|1|\n"))
        code, out, _ = self.run_cli("search", "--no-trunc", "x")
        self.assertEqual(out.splitlines()[0].split(), ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"])
        self.assertIn("x" * 50, out)

    def test_prune_asks_first(self):
        self.server.routes["POST", "/containers/prune"] = (200, {"ContainersDeleted": ["c1"], "SpaceReclaimed": 1500})
        code, out, _ = self.run_cli("container", "prune", stdin=b"n\n")
        self.assertEqual((code, self.server.seen), (0, []))
        self.assertTrue(out.startswith("WARNING! This will remove all stopped containers.\n"))
        code, out, _ = self.run_cli("container", "prune", "-f")
        self.assertEqual((code, out), (0, "Deleted Containers:\nc1\n\nTotal reclaimed space: 1.5kB\n"))


if __name__ == "__main__":
    unittest.main(verbosity=1)
