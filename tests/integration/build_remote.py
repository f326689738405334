#!/usr/bin/env python3
"""Sources from elsewhere: git repositories and URLs in ADD and as contexts. Arguments: meson's build directory, then unittest's own."""
import base64
import gzip
import hashlib
import http.server
import os
import shutil
import subprocess
import tempfile
import unittest
import urllib.parse

from build_lib import BUILD, Case, docker20, serve_in, tar_of

PORT = 18090
URL = f"http://127.0.0.1:{PORT}"
SSH_PORT = 18091
LOGINS = ("basic " + base64.b64encode(b"x-access-token:of-the-test").decode(), "Bearer other-of-the-test")


class Web(http.server.BaseHTTPRequestHandler):
    """git-http-backend(1) below /git/, files below /files/, and servers that mean harm."""
    top = None
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path.startswith("/redirect.git/"):
            self.send_response(302)
            self.send_header("Location", "file:///" + self.top + "/git/r.git/" + path.split(".git/")[1])
            self.end_headers()
        elif path.startswith("/endless.git/"):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            try:
                while True:
                    self.wfile.write((b"0" * 40 + b"\trefs/heads/x\n") * 20000)
            except OSError:
                pass
        elif path.startswith("/files/"):
            with open(self.top + path, "rb") as f:
                data = f.read()
            self.send_response(200)
            self.send_header("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
            self.end_headers()
            self.wfile.write(data)
        elif path.startswith("/git/"):
            self.backend(path, query)
        elif path.startswith("/private/") and self.headers.get("Authorization") not in LOGINS:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
            self.end_headers()
        elif path.startswith("/private/"):
            self.backend("/git/" + path[9:], query)
        else:
            self.send_error(404)

    do_POST = do_GET

    def backend(self, path, query):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": self.top, "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
               "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""),
               "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""), "REMOTE_ADDR": "127.0.0.1",
               "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "GIT_CONFIG_COUNT": "1",
               "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        done = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE, check=False)
        head, _, data = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


class Remote(Case):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("git"):
            raise unittest.SkipTest("git is not installed")
        super().setUpClass()
        cls.top = tempfile.mkdtemp(prefix="wherry-remote.")
        cls.addClassCleanup(shutil.rmtree, cls.top)
        Web.top = cls.top
        os.makedirs(cls.top + "/git")
        os.makedirs(cls.top + "/files")

    def setUp(self):
        super().setUp()
        serve_in(self, PORT, Web)
        shutil.rmtree(self.top + "/git", ignore_errors=True)
        self.git(None, "init", "-q", "-b", "main", self.top + "/work")
        self.addCleanup(shutil.rmtree, self.top + "/work")
        self.commit({"Dockerfile": "FROM base:1\nCOPY . /c\nRUN echo @@; cd /c; find . -type f | sort; echo @@\n", "sub/f": "one\n",
                     "sub/Dockerfile": "FROM base:1\nRUN echo @@; echo of sub; echo @@\n"})
        self.git("work", "tag", "-a", "-m", "x", "v1")

    def git(self, where, *args):
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"]
        command += ["-C", os.path.join(self.top, where)] if where else []
        done = subprocess.run([*command, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                              env={"PATH": os.environ["PATH"], "HOME": self.top})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def commit(self, files):
        for name, text in files.items():
            path = os.path.join(self.top, "work", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        self.git("work", "add", "-A")
        self.git("work", "commit", "-q", "-m", "x")
        return self.publish()

    def publish(self):
        shutil.rmtree(self.top + "/git/r.git", ignore_errors=True)
        self.git(None, "clone", "-q", "--bare", self.top + "/work", self.top + "/git/r.git")
        return self.git("work", "rev-parse", "HEAD")


class AddGit(Remote):
    def add(self, what, *flags, ok=True):
        got = self.build(f"FROM base:1\nADD {' '.join(flags)} {what} /d\n", ok=ok, tag="added")
        return got.stderr if not ok else self.show("cd /d; find . -type f -not -path './.git/*' | sort; cat $(find . -name f)", base="added")

    def added(self, *sources):
        """What each of them gives: one build for all."""
        lines = "".join(f"ADD {source} /d/{k}\n" for k, source in enumerate(sources))
        self.build("FROM base:1\n" + lines, tag="added")
        got = self.show("cd /d; for d in *; do cd $d; echo $(find . -type f | sort; cat $(find . -name f)); cd ..; done", base="added")
        return got.splitlines()

    def test_references_and_directories(self):
        whole = "./Dockerfile ./sub/Dockerfile ./sub/f "
        first = self.git("work", "rev-parse", "HEAD")
        self.commit({"sub/f": "two\n"})
        url = URL + "/git/r.git"
        got = self.added(url, url + "#:sub", url + "?branch=main&subdir=sub", url + "#v1", url + "#refs/tags/v1", url + "?tag=v1",
                         url + "?ref=" + first, url + "#" + first)
        self.assertEqual(got, [whole + "two"] + ["./Dockerfile ./f two"] * 2 + [whole + "one"] * 5)
        self.assertIn("Dockerfile:2: " + url + ": repository does not contain ref nosuch", self.add(url + "#nosuch", ok=False))
        self.assertIn("there is no directory nosuch", self.add(url + "#:nosuch", ok=False))

    def test_flags(self):
        head = self.git("work", "rev-parse", "HEAD")
        self.add(URL + "/git/r.git", "--chown=3:4", "--chmod=640", "--checksum=" + head, "--keep-git-dir=true")
        self.assertEqual(self.show("stat -c '%u:%g %a' /d/sub/f; cat /d/.git/HEAD; grep -c url /d/.git/config", base="added"),
                         f"3:4 640\n{head}\n1\n")
        self.assertIn("expected commit 0000000", self.add(URL + "/git/r.git", "--checksum=0000000", ok=False))
        self.assertEqual(self.show("ls -A /d", base="added").count(".git"), 1)
        self.add(URL + "/git/r.git")
        self.assertEqual(self.show("ls -A /d", base="added"), "Dockerfile\nsub\n")

    def test_the_commit_is_the_key(self):
        text = f"FROM base:1\nADD {URL}/git/r.git#main /d\n"
        self.build(text)
        self.assertIn("Using cache", self.build(text).stdout)
        self.commit({"new": "x\n"})
        self.assertNotIn("Using cache", self.build(text).stdout)

    def test_submodules(self):
        shutil.copytree(self.top + "/git/r.git", self.top + "/git/lib.git")
        self.git("work", "submodule", "--quiet", "add", "../git/lib.git", "lib")
        self.git("work", "config", "-f", ".gitmodules", "submodule.lib.url", "../lib.git")
        self.commit({})
        self.assertEqual(self.add(URL + "/git/r.git").splitlines()[:2], ["./.gitmodules", "./Dockerfile"])
        self.assertEqual(self.show("cat /d/lib/sub/f; find /d -name .git", base="added"), "one\n")
        self.add(URL + "/git/r.git?submodules=false")
        self.assertEqual(self.show("ls /d/lib | wc -l", base="added"), "0\n")

    def test_nothing_of_this_machine_is_reached(self):
        """Submodules and redirects that name files, programs and options."""
        for url in ("file://" + self.top + "/git/r.git", "ext::sh -c 'touch /tmp/wherry-git-ext'"):
            self.git("work", "update-index", "--add", "--cacheinfo", "160000", self.git("work", "rev-parse", "HEAD"), "evil")
            with open(self.top + "/work/.gitmodules", "w", encoding="utf-8") as f:
                f.write(f'[submodule "evil"]\n\tpath = evil\n\turl = "{url}"\n')
            self.git("work", "add", ".gitmodules")
            self.git("work", "commit", "-q", "-m", "x")
            self.publish()
            self.assertIn("its submodules: ", self.add(URL + "/git/r.git", ok=False), url)
            self.git("work", "reset", "-q", "--hard", "HEAD~1")
            self.publish()
        self.assertFalse(os.path.exists("/tmp/wherry-git-ext"))
        self.assertNotIn("Successfully", self.add(URL + "/redirect.git", ok=False))
        self.assertIn("Dockerfile:2: ", self.add(URL + "/endless.git", ok=False))
        self.assertIn("Dockerfile:2: invalid git repository", self.add(URL + "/git/r.git#--upload-pack=id", ok=False))

    def test_hooks_and_configuration_of_the_repository_do_nothing(self):
        self.commit({".gitattributes": "* filter=evil\n", ".gitconfig": "[core]\n\tfsmonitor = touch /tmp/wherry-git-ext\n"})
        self.add(URL + "/git/r.git")
        self.assertFalse(os.path.exists("/tmp/wherry-git-ext"))


    def test_archives_are_unpacked_when_asked(self):
        archive = tar_of([("a/b", b"x\n", {"uid": 7})])
        with open(self.top + "/files/a.tar", "wb") as f:
            f.write(archive)
        shutil.copy(self.top + "/files/a.tar", self.context + "/local.tar")
        digest = hashlib.sha256(archive).hexdigest()
        self.build(f"FROM base:1\nADD {URL}/files/a.tar /one/\nADD --unpack=true --checksum=sha256:{digest} {URL}/files/a.tar /two/\n"
                   "ADD --unpack=false local.tar /three/\nADD local.tar /four/\n")
        self.assertEqual(self.show("stat -c '%a %Y' /one/a.tar; find /two /three /four -type f"),
                         "600 1136214245\n/two/a/b\n/three/local.tar\n/four/a/b\n")

    def test_a_password_is_in_no_message(self):
        secret = URL.replace("://", "://me:of-the-test@")
        got = self.build("FROM base:1\nARG U\nADD $U/files/none /\n", "--build-arg", "U=" + secret, ok=False)
        self.assertIn(f"cannot download {URL}/files/none", got.stderr)
        self.assertNotIn("of-the-test", got.stdout + got.stderr)


class Contexts(Remote):
    def built(self, url):
        return self.raw_show(b"", remote=urllib.parse.quote(url, safe=""), nocache=1)

    def test_a_repository(self):
        url = URL + "/git/r.git"
        self.assertEqual(self.built(url), "./Dockerfile\n./sub/Dockerfile\n./sub/f\n")
        self.assertEqual(self.built(url + "#main:sub"), "of sub\n")
        for bad, words in ((url + "#nosuch", "does not contain ref nosuch"), ("file:///etc/x.git", "file"), ("ext::id", "ext")):
            status, text = self.raw_build(b"", remote=urllib.parse.quote(bad, safe=""))
            self.assertEqual((status, words in text), (400, True), text)

    def test_named_ones(self):
        with open(self.top + "/files/n.tar", "wb") as f:
            f.write(tar_of([("x", b"in\n", {})]))
        text = "FROM repo AS r\nFROM base:1\nCOPY --from=r /sub/f /f\nCOPY --from=arc x /x\nRUN --mount=from=repo,target=/m cat /f /x /m/sub/f > /all\n"
        self.file("Dockerfile", text)
        command = [os.path.join(BUILD, "src/wherry/wherry"), "build", "-t", "named", "--build-context", f"repo={URL}/git/r.git#main",
                   "--build-context", f"arc={URL}/files/n.tar", self.context]
        got = subprocess.run(command, env=self.daemon.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(got.returncode, 0, got.stdout)
        self.assertEqual(self.show("cat /all", base="named"), "one\nin\none\n")

    def test_an_archive_and_a_dockerfile(self):
        with open(self.top + "/files/c.tar.gz", "wb") as f:
            f.write(gzip.compress(tar_of([("Dockerfile", b"FROM base:1\nCOPY x /x\nRUN echo @@; cat /x; echo @@\n", {}), ("x", b"in\n", {})])))
        with open(self.top + "/files/D", "wb") as f:
            f.write(b"FROM base:1\nRUN echo @@; echo text; echo @@\n")
        self.assertEqual(self.raw_show(b"", remote=URL + "/files/c.tar.gz"), "in\n")
        self.assertEqual(self.raw_show(b"", remote=URL + "/files/D"), "text\n")
        status, text = self.raw_build(b"", remote=URL + "/nosuch")
        self.assertEqual((status, "404" in text), (400, True), text)


class Logins(Remote):
    """What a repository wants of its readers comes from the client: secrets and its ssh agent."""

    def kit(self, context, *args, ok=True, text=None, client=None, **secrets):
        if text:
            self.file("Dockerfile", text)
        command = [client or os.path.join(BUILD, "src/wherry/wherry"), "build", "--progress", "plain", "--no-cache", "-t", "private", *args]
        for name in secrets:
            command += ["--secret", "id=" + name.replace("__", ".") + ",env=" + name]
        got = subprocess.run([*command, context], env={**self.daemon.env, "DOCKER_BUILDKIT": "1", **secrets}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, check=False, timeout=300)
        self.assertEqual(got.returncode == 0, ok, got.stdout)
        return got.stdout

    def test_tokens_and_headers(self):
        url = URL + "/private/r.git"
        text = f"FROM base:1\nADD {url} /d\n"
        self.assertIn("Dockerfile:2: " + url, self.kit(self.context, text=text, ok=False))
        self.kit(self.context, GIT_AUTH_TOKEN__example__com="of-the-test", ok=False)
        self.kit(self.context, GIT_AUTH_TOKEN="wrong", ok=False)
        for secrets in ({"GIT_AUTH_TOKEN": "of-the-test\n"}, {"GIT_AUTH_HEADER": "Bearer other-of-the-test"},
                        {"GIT_AUTH_HEADER__127__0__0__1": "Bearer other-of-the-test", "GIT_AUTH_HEADER": "Bearer wrong"}):
            self.kit(self.context, **secrets)
            self.assertEqual(self.show("cat /d/sub/f; find /d -name .git", base="private"), "one\n")
        said = self.kit(url + "#main:sub", GIT_AUTH_TOKEN="of-the-test")
        self.assertIn("of sub\n", said)
        self.assertIn("of sub\n", self.kit(url + "#main:sub", client=docker20(), GIT_AUTH_TOKEN="of-the-test"))
        kept = subprocess.run(["grep", "-rlaE", "of-the-test|" + LOGINS[0][6:], self.daemon.data, self.daemon.dir + "/log"],
                              stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual((kept.stdout, "of-the-test" in said), ("", False))

    def agent_with_a_key(self):
        agent, key = os.path.join(self.daemon.dir, "agent"), os.path.join(self.daemon.dir, "key")
        process = subprocess.Popen(["ssh-agent", "-D", "-a", agent], stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.wait_gone(lambda: not os.path.exists(agent))
        for name in (key, self.top + "/host", self.top + "/other"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name], check=True)
        subprocess.run(["ssh-add", "-q", key], env={"SSH_AUTH_SOCK": agent}, check=True, stderr=subprocess.DEVNULL)
        return agent, key + ".pub"

    def serve_ssh(self, authorized):
        """sshd beside the daemon, with users and directories of its own, for who has the key."""
        with open(self.top + "/sshd", "w", encoding="ascii") as f:
            f.write(f"Port {SSH_PORT}\nListenAddress 127.0.0.1\nHostKey {self.top}/host\nAuthorizedKeysFile {authorized}\nUsePAM no\n"
                    "PidFile none\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n")
        for name, line in (("passwd", "root:x:0:0::/:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\n"), ("shadow", "root:*:1::::::\n")):
            with open(self.top + "/" + name, "w", encoding="ascii") as f:
                f.write(line)
        script = ('mount -t tmpfs t /run && mkdir /run/sshd && mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/shadow" /etc/shadow && '
                  'exec "$1" -D -e -f "$0/sshd"')
        process = subprocess.Popen(["nsenter", "-t", str(self.daemon.process.pid), "-n", "unshare", "-m", "--propagation", "private", "sh",
                                    "-c", script, self.top, shutil.which("sshd")], stdout=self.daemon.log, stderr=self.daemon.log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        listens = ["nsenter", "-t", str(self.daemon.process.pid), "-n", "ss", "-Htln", f"sport = :{SSH_PORT}"]
        self.wait_gone(lambda: not subprocess.run(listens, stdout=subprocess.PIPE, check=True).stdout)

    def test_ssh(self):
        os.environ["PATH"] += ":/usr/sbin"
        for program in ("ssh", "ssh-agent", "ssh-add", "ssh-keygen", "sshd", "ss"):
            if not shutil.which(program):
                self.skipTest(program + " is not installed")
        agent, public = self.agent_with_a_key()
        self.serve_ssh(public)
        url = f"ssh://root@127.0.0.1:{SSH_PORT}{self.top}/git/r.git"
        text = f"FROM base:1 AS a\nADD {url} /d\nFROM base:1\nADD {url}#main:sub /e\nCOPY --from=a /d /d\n"
        self.kit(self.context, "--ssh", "default=" + agent, text=text)  # two stages ask the agent at the same time
        self.assertEqual(self.show("cat /d/sub/f /e/f", base="private"), "one\none\n")
        self.assertIn("of sub\n", self.kit(url + "#main:sub", "--ssh", "default=" + agent))
        self.assertRegex(self.kit(self.context, text=text, ok=False), r"Dockerfile:[24]: ssh://.*Permission denied \(publickey")
        keys = {}
        for name in ("host", "other"):
            with open(f"{self.top}/{name}.pub", encoding="ascii") as f:
                keys[name] = f"[127.0.0.1]:{SSH_PORT} " + f.read()
        self.kit(self.context, "--ssh", "default=" + agent, GIT_SSH_KNOWN_HOSTS=keys["other"] + keys["host"])
        for known in (keys["other"], "elsewhere " + keys["host"].split(" ", 1)[1]):
            self.assertIn("Host key verification failed", self.kit(self.context, "--ssh", "default=" + agent, ok=False, GIT_SSH_KNOWN_HOSTS=known))


if __name__ == "__main__":
    unittest.main()
