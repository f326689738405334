#!/usr/bin/env python3
"""`docker build`: contexts, cache, images, and trouble (clients that leave, kills, full disks).

Arguments: meson's build directory, then unittest's own.
"""
import base64
import gzip
import hashlib
import http.server
import json
import lzma
import os
import re
import signal
import subprocess
import tarfile
import tempfile
import threading
import unittest

from build_lib import BUILD, Case, Daemon, make_base, processes, serve_in, tar_of

FIND = b"FROM base:1\nCOPY . /c\nRUN echo @@; cd /c; find . | sort; echo @@\n"


class Context(Case):
    def test_ignore_is_applied_here_too(self):
        """The CLI filters; another client may send everything."""
        body = tar_of([
            ("Dockerfile", FIND, {}), (".dockerignore", b"*.log\nnode\n!node/keep\nDockerfile\n.dockerignore\n", {}),
            ("a.log", b"", {}), ("a.txt", b"", {}), ("node/x", b"", {}), ("node/keep/y", b"", {})])
        self.assertEqual(self.raw_show(body), ".\n./a.txt\n./node\n./node/keep\n./node/keep/y\n")

    def test_named_ignore_file_wins(self):
        body = tar_of([("sub/D", FIND, {}), (".dockerignore", b"a\n", {}), ("sub/D.dockerignore", b"b\n", {}),
                       ("a", b"", {}), ("b", b"", {})])
        self.assertEqual(self.raw_show(body, dockerfile="sub/D"),
                         ".\n./.dockerignore\n./a\n./sub\n./sub/D\n./sub/D.dockerignore\n")

    def test_compressed_contexts(self):
        body = tar_of([("Dockerfile", b"FROM base:1\nLABEL a=b\n", {})])
        for packed in (gzip.compress(body), lzma.compress(body)):
            status, text = self.raw_build(packed)
            self.assertEqual(status, 200, text)
            self.assertIn("Successfully built", text)

    def test_bad_contexts_are_400(self):
        for body, words in ((b"", "Cannot locate specified Dockerfile: Dockerfile"),
                            (b"garbage" * 1000, "archive"),
                            (tar_of([("../x", b"", {})]), "outside of its root"),
                            (tar_of([("Dockerfile", b"FROM\n", {})]), "Dockerfile:1"),
                            (tar_of([("Dockerfile", b"FROM base:1\nBOGUS x\n", {})]), "Dockerfile:2: unknown instruction: BOGUS"),
                            (tar_of([("Dockerfile", b"", {})]), "Dockerfile:1: the file is empty")):
            status, text = self.raw_build(body)
            self.assertEqual(status, 400, text)
            self.assertIn(words, text)

    def test_devices_of_a_client_are_dropped(self):
        body = tar_of([("Dockerfile", FIND, {}), ("d/dev", None, {"type": tarfile.CHRTYPE, "devmajor": 8, "devminor": 0}),
                       ("d/fifo", None, {"type": tarfile.FIFOTYPE}), ("d/f", b"", {"uid": 77})])
        self.assertEqual(self.raw_show(body), ".\n./Dockerfile\n./d\n./d/f\n./d/fifo\n")

    def test_dockerfile_from_stdin(self):
        got = subprocess.run(["docker", "build", "-t", "stdin", "-"], env=self.daemon.env, input=b"FROM base:1\nRUN true\n",
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual(got.returncode, 0, got.stdout)


class Cache(Case):
    def cached(self, *args, **options):
        return self.build(*args, **options).stdout.count("Using cache")

    def test_a_build_that_changes_nothing_gives_the_same_image(self):
        self.file("f", "1\n")
        text = "FROM base:1\nRUN echo x > /x\nCOPY f /f\nLABEL a=b\nCMD [\"sh\"]\n"
        self.build(text)
        first = self.inspect()["Id"]
        os.utime(self.context + "/f", (1, 1))
        self.assertEqual((self.cached(text), self.inspect()["Id"]), (2, first))
        self.assertEqual(self.cached(text, "--no-cache"), 0)

    def test_what_matters_to_the_key(self):
        self.file("f", "1\n")
        self.file("other", "1\n")
        text = "FROM base:1\nARG V=1\n%sRUN echo $V > /x%s\nCOPY f /f\n"
        plain = text % ("", "")
        self.build(plain)
        self.assertEqual(self.cached(text % ("LABEL new=1\nEXPOSE 80\n", "  ")), 2)
        self.file("other", "2\n")
        self.assertEqual(self.cached(plain), 2)
        self.assertEqual(self.cached(plain, "--build-arg", "V=2"), 0)
        self.assertEqual(self.cached(plain, "--build-arg", "http_proxy=http://p"), 2)
        self.assertLess(self.cached(text % ("ENV E=1\n", "")), 2)  # within one second RUN may make the very same layer
        self.file("f", "2\n")
        self.assertEqual(self.cached(plain), 1)
        self.file("f", "1\n")
        self.assertEqual(self.cached(plain), 2)
        os.chmod(self.context + "/f", 0o600)
        self.assertEqual(self.cached(plain), 1)

    def test_copy_from_a_rebuilt_stage_with_equal_content(self):
        text = "FROM base:1 AS a\nRUN echo same > /out; echo %d > /other\nFROM base:1\nCOPY --from=a /out /out\nRUN echo last > /l\n"
        self.build(text % 1)
        self.assertEqual(self.cached(text % 2), 2)

    def test_a_failure_is_not_cached_but_what_came_before_is(self):
        text = "FROM base:1\nRUN echo ok-failure\nRUN exit 1\n"
        self.build(text, ok=False)
        self.assertEqual(self.cached(text, ok=False), 1)

    def test_the_cache_survives_the_daemon(self):
        text = "FROM base:1\nRUN echo restart > /r\n"
        self.build(text)
        self.daemon.stop()
        self.daemon.start()
        self.assertEqual(self.cached(text), 1)

    def test_prune_frees_layers(self):
        self.build("FROM base:1\nRUN dd if=/dev/zero of=/big bs=1M count=8\n", tag="big")
        self.daemon.docker("rmi", "big")
        before = len(os.listdir(self.daemon.data + "/layers"))
        got = self.daemon.docker("builder", "prune", "-af")
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertIn("MB", got.stdout)
        self.wait_gone(lambda: len(os.listdir(self.daemon.data + "/layers")) >= before)
        self.assertEqual(self.cached("FROM base:1\nRUN dd if=/dev/zero of=/big bs=1M count=8\n", tag="big"), 0)


class Image(Case):
    def test_configuration(self):
        self.build("""FROM base:1
MAINTAINER me
ENV A=1 B="two words"
EXPOSE 80 53/udp
VOLUME /data
USER app
WORKDIR /w
ENTRYPOINT ["/bin/sh"]
CMD -c true
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --retries=2 CMD true
LABEL l=m
SHELL ["/bin/busybox", "sh", "-c"]
ONBUILD RUN echo triggered > /tmp/onbuild
""", "--label", "from=cli", "--label", "l=over")
        c = self.config()
        self.assertIn("B=two words", c["Env"])
        self.assertEqual(sorted(c["ExposedPorts"]), ["53/udp", "80/tcp"])
        self.assertEqual((c["User"], c["WorkingDir"], c["Entrypoint"], c["Cmd"]),
                         ("app", "/w", ["/bin/sh"], ["/bin/sh", "-c", "-c true"]))
        self.assertEqual((c["StopSignal"], c["Labels"], c["OnBuild"]),
                         ("SIGINT", {"l": "over", "from": "cli"}, ["RUN echo triggered > /tmp/onbuild"]))
        self.assertEqual(c["Healthcheck"]["Interval"], 5000000000)
        got = self.build("FROM t\nUSER 0\n", tag="child")
        self.assertIn("# Executing 1 build trigger", got.stdout)
        self.assertFalse(self.config("child").get("OnBuild"))
        self.assertEqual(self.show("cat /tmp/onbuild", base="child"), "triggered\n")

    def history(self, tag):
        text = self.daemon.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", tag).stdout
        return text.replace("hi\n", "hi").splitlines()[-2::-1]  # oldest first, without the base's

    def test_history_is_as_docker_writes_it(self):
        """Recorded from dockerd 26.1, but for the digests of classic sources."""
        self.file("f")
        self.build("""FROM base:1
ARG A=1
ARG B
ENV X=$A Y="a b"
RUN echo  hi && \\
   true
WORKDIR /w
COPY --chown=1:1 f /f2
COPY f Dockerfile /d/
SHELL ["/bin/sh", "-e", "-c"]
EXPOSE 80 53/udp
CMD echo "x"
ONBUILD RUN true
""", "--build-arg", "B=cli", "--label", "l=m")
        sh = "/bin/sh -e -c"
        digest = re.compile("[0-9a-f]{64}")
        self.assertEqual([digest.sub("HASH", line) for line in self.history("t")], [
            "/bin/sh -c #(nop)  ARG A=1|", "/bin/sh -c #(nop)  ARG B|", "/bin/sh -c #(nop)  ENV X=1 Y=a b|",
            "|2 A=1 B=cli /bin/sh -c echo  hi &&    true|", "/bin/sh -c #(nop) WORKDIR /w|", "/bin/sh -c #(nop) COPY --chown=1:1 file:HASH in /f2 |",
            "/bin/sh -c #(nop) COPY multi:HASH in /d/ |", sh + " #(nop)  SHELL [/bin/sh -e -c]|", sh + " #(nop)  EXPOSE 53/udp 80|",
            sh + ' #(nop)  CMD ["/bin/sh" "-e" "-c" "echo \\"x\\""]|', sh + " #(nop)  ONBUILD RUN true|", sh + " #(nop)  LABEL l=m|"])
        with open(self.context + "/Dockerfile", "a", encoding="utf-8") as f:
            f.write("COPY <<EOF <<'B' /here/\nx\nEOF\ny\nB\nRUN <<EOF\necho hi\nEOF\n")
        got = subprocess.run([BUILD + "/src/wherry/wherry", "build", "-t", "kit", "--build-arg", "B=cli", "--label", "l=m", self.context], env=self.daemon.env,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(got.returncode, 0, got.stdout)
        self.assertEqual(self.history("kit"), [line + "|buildkit.dockerfile.v0" for line in (
            "ARG A=1", "ARG B", "ENV X=1 Y=a b", "RUN |2 A=1 B=cli /bin/sh -c echo  hi &&    true # buildkit", "WORKDIR /w",
            "COPY --chown=1:1 f /f2 # buildkit", "COPY f Dockerfile /d/ # buildkit", "SHELL [/bin/sh -e -c]", "EXPOSE map[53/udp:{} 80/tcp:{}]",
            'CMD ["/bin/sh" "-e" "-c" "echo \\"x\\""]', "COPY <<EOF <<B /here/ # buildkit", "RUN |2 A=1 B=cli /bin/sh -e -c echo hi # buildkit")])

    def test_triggers_copy_from_stages_and_context(self):
        self.file("app", "mine\n")
        self.build("FROM base:1\nONBUILD COPY app /app\nONBUILD COPY --from=tools /t /t\n", tag="onbuild")
        self.build("FROM base:1 AS tools\nRUN echo tool > /t\nFROM tools AS used\nFROM onbuild\nCOPY --from=used /t /t2\n")
        self.assertEqual(self.show("cat /app /t /t2"), "mine\ntool\ntool\n")

    def test_dev_stays_a_directory(self):
        """Nodes are made in it by the runtime: a link there would choose where."""
        os.symlink("/tmp", self.context + "/dev")
        got = self.build("FROM scratch\nCOPY . /\n", ok=False)
        self.assertIn("Dockerfile:2: /dev of an image must be a directory", got.stderr)

    def test_scratch(self):
        self.file("f")
        self.build("FROM scratch\nCOPY f /\nCMD [\"/f\"]\n")
        self.assertEqual(len(self.inspect()["RootFS"]["Layers"]), 1)
        self.build("FROM scratch\nLABEL only=1\n")
        self.assertFalse(self.inspect()["RootFS"].get("Layers"))

    def test_target_stages_and_arguments(self):
        text = """ARG BASE=base:1
FROM ${BASE} AS one
RUN echo 1 > /s
FROM one AS Two
ARG TARGETARCH
RUN echo $TARGETARCH >> /s
FROM base:1 AS broken
RUN exit 9
FROM two
COPY --from=ONE /s /one
"""
        self.build(text)
        self.assertEqual(self.show("head -1 /s; cat /one"), "1\n1\n")
        self.build(text, "--target", "one")
        self.assertEqual(self.show("cat /s"), "1\n")
        self.build(text, "--target", "broken", ok=False)
        got = self.build(text, "--target", "nosuch", ok=False)
        self.assertIn('target stage "nosuch" could not be found', got.stderr)
        got = self.build(text, "--build-arg", "BASE=127.0.0.1:9/x:1", ok=False)
        self.assertIn("Dockerfile:2", got.stderr)
        got = self.build(text, "--build-arg", "UNUSED=1")
        self.assertIn("[Warning] One or more build-args [UNUSED] were not consumed", got.stdout)

    def test_quiet_and_iidfile(self):
        self.file("Dockerfile", "FROM base:1\nRUN echo loud\n")
        iid = os.path.join(self.daemon.dir, "iid")
        got = self.daemon.docker("build", "-q", "--iidfile", iid, "-t", "q", self.context)
        self.assertEqual(got.stdout.strip(), self.inspect("q")["Id"])
        with open(iid, encoding="ascii") as f:
            self.assertEqual(f.read().strip(), self.inspect("q")["Id"])
        self.file("Dockerfile", "FROM base:1\nRUN echo loud\nRUN echo why; exit 3\n")
        got = self.daemon.docker("build", "-q", self.context)
        self.assertNotEqual(got.returncode, 0)
        self.assertIn("why", got.stdout + got.stderr)

    def test_deleted_and_recreated_directories(self):
        self.build("""FROM base:1
RUN mkdir -p /d/sub && touch /d/a /d/sub/b /gone
RUN rm -r /d /gone && mkdir /d && touch /d/new
RUN mv /d /e
COPY Dockerfile /d/again
""")
        self.assertEqual(self.show("find /d /e /gone 2>&1"),
                         "/d\n/d/again\n/e\n/e/new\nfind: /gone: No such file or directory\n")

    def test_too_many_layers(self):
        text = "FROM base:1\n" + "".join(f"COPY <<E /f{i}\n{i}\nE\n" for i in range(130))
        got = self.build(text, ok=False)
        self.assertIn("more than 125 layers", got.stderr)

    def test_bad_tags_are_refused_before_anything_runs(self):
        status, text = self.raw_build(tar_of([("Dockerfile", b"FROM base:1\n", {})]), t="UPPER:1")
        self.assertEqual(status, 400, text)
        self.assertIn("must be lowercase", text)

    def test_the_diff_id_is_that_of_the_layer(self):
        """The image is what a container gets, and the layer on disk holds what the step changed."""
        self.build("FROM base:1\nRUN mkdir /n && echo 1 > /n/f && ln -s f /n/l && rm /etc/group\n")
        got = self.daemon.docker("run", "--rm", "--network", "none", "t", "sh", "-c", "cat /n/l; ls /etc/group")
        self.assertEqual(got.stdout, "1\n", got.stderr)
        self.assertIn("/etc/group: No such file", got.stderr)


def registry_of(layer):
    """A registry with one image, repo:1 in two platforms' index, for u:p only. Counts blob requests."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "arm")
    blobs = {}

    def blob(data, media):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": media, "digest": digest, "size": len(data)}

    def manifest(arch):
        config = {"architecture": arch, "os": "linux", "config": {"Env": ["FROM=registry"]}, "history": [],
                  "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}
        kind = "application/vnd.oci.image."
        text = {"schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
                "config": blob(json.dumps(config).encode(), kind + "config.v1+json"),
                "layers": [blob(gzip.compress(layer, mtime=0), kind + "layer.v1.tar+gzip")]}
        return dict(blob(json.dumps(text).encode(), kind + "manifest.v1+json"), platform={"os": "linux", "architecture": arch})

    index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                        "manifests": [manifest("s390x"), manifest(machine)]}).encode()
    expected = "Basic " + base64.b64encode(b"u:p").decode()

    class Registry(http.server.BaseHTTPRequestHandler):
        requests = []

        def do_GET(self):
            Registry.requests.append(self.path)
            name = self.path.rsplit("/", 1)[1]
            data = index if name == "1" else blobs.get(name)
            if self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="test"')
                data = b"{}"
            elif data is None and not self.path.endswith("/v2/"):
                self.send_response(404)
                data = b"{}"
            else:
                self.send_response(200)
                data = data or b"{}"
            if "/manifests/" in self.path:
                self.send_header("Content-Type", json.loads(data).get("mediaType", "application/json"))
                self.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(data).hexdigest())
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET

        def log_message(self, *args):
            pass

    return Registry


class Pull(Case):
    def log_in(self, auths):
        os.makedirs(self.daemon.dir + "/.docker", exist_ok=True)
        with open(self.daemon.dir + "/.docker/config.json", "w", encoding="ascii") as f:
            json.dump({"auths": auths}, f)

    def test_bases_are_pulled_with_the_clients_credentials(self):
        with open(make_base(self.daemon.dir), "rb") as f:
            registry = registry_of(f.read())
        serve_in(self, 18081, registry)
        self.log_in({"127.0.0.1:18081": {"auth": base64.b64encode(b"u:wrong").decode()}})
        text = "FROM 127.0.0.1:18081/repo:1\nRUN echo $FROM > /from\n"
        got = self.build(text, ok=False)
        self.assertIn("Dockerfile:1: ", got.stderr)
        self.log_in({"127.0.0.1:18081": {"auth": base64.b64encode(b"u:p").decode()}})
        got = self.build(text)
        self.assertIn("Pull complete", got.stdout)
        self.assertEqual(self.show("cat /from"), "registry\n")
        before = len(registry.requests)
        self.build(text)
        self.assertEqual(len(registry.requests), before)
        self.build(text, "--pull")
        self.assertGreater(len(registry.requests), before)
        got = self.build("FROM 127.0.0.1:18081/repo:nosuch\n", ok=False)
        self.assertIn("Dockerfile:1: ", got.stderr)
        got = self.build("FROM base:1\nCOPY --from=127.0.0.1:18081/repo:1 /etc/group /g\n")
        got = self.build("FROM --platform=linux/s390x 127.0.0.1:18081/repo:1\nCOPY Dockerfile /\n")
        self.assertEqual(self.inspect()["Architecture"], "s390x")


class Trouble(Case):
    def start_hanging(self, number):
        self.file("Dockerfile", f"FROM base:1\nRUN echo hanging; sleep {number}\n")
        client = subprocess.Popen(["docker", "build", self.context], env=self.daemon.env, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
        self.addCleanup(client.stdout.close)
        for line in client.stdout:
            if line.strip() == b"hanging":
                break
        self.assertTrue(processes(f"sleep {number}"))
        return client

    def test_a_client_that_leaves_takes_everything_with_it(self):
        client = self.start_hanging(5001)
        self.assertTrue(self.daemon.groups())
        client.kill()
        client.wait()
        self.wait_gone(lambda: processes("sleep 5001"))
        self.wait_gone(self.daemon.workers)
        self.wait_gone(self.daemon.groups)
        self.wait_gone(lambda: os.listdir(self.daemon.data + "/layers/tmp"))
        links = subprocess.run(["nsenter", "-t", str(self.daemon.process.pid), "-n", "ip", "-o", "link"],
                               stdout=subprocess.PIPE, text=True, check=True).stdout
        self.assertNotIn("veth", links)
        network = self.daemon.docker("network", "inspect", "bridge").stdout
        self.assertIn('"Containers": {}', network)

    def test_a_client_that_leaves_while_sending(self):
        body = tar_of([("Dockerfile", b"FROM base:1\n", {}), ("big", b"x" * (8 << 20), {})])
        import socket
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.daemon.socket)
        s.sendall(b"POST /v1.43/build HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:4 << 20])
        s.close()
        self.wait_gone(self.daemon.workers)

    def test_a_killed_daemon_leaves_nothing_after_its_next_start(self):
        client = self.start_hanging(5002)
        self.daemon.stop(signal.SIGKILL)
        client.wait()
        os.unlink(self.daemon.socket)
        self.daemon.start()
        self.wait_gone(lambda: processes("sleep 5002"))
        self.wait_gone(self.daemon.groups)
        self.build("FROM base:1\nRUN true\n")

    def test_many_builds_at_once(self):
        self.file("Dockerfile", "FROM base:1\nARG N\nRUN ip addr show eth0 && echo $N > /n && sleep 0.3\nCOPY Dockerfile /\n")
        results = []

        def one(n):
            results.append(self.daemon.docker("build", "--build-arg", f"N={n}", "-t", f"p:{n}", self.context).returncode)

        threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(results, [0] * 8)

    def test_the_cache_takes_a_tenth_of_the_disk_at_most(self):
        disk = tempfile.mkdtemp(prefix="wherry-disk.")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", disk], check=True)
        daemon = Daemon(os.path.join(disk, "data"))
        try:
            daemon.docker("import", make_base(daemon.dir), "base:1")
            for n in range(5):
                self.file("Dockerfile", f"FROM base:1\nRUN dd if=/dev/urandom of=/f bs=1M count=8; echo {n}\n")
                got = daemon.docker("build", "-t", f"t:{n}", self.context)
                self.assertEqual(got.returncode, 0, got.stderr)
            for n in range(4):
                daemon.docker("rmi", f"t:{n}")
            self.file("Dockerfile", "FROM base:1\nLABEL a=b\n")
            daemon.docker("build", "-t", "t:4", self.context)  # the last image's layers become the cache's alone
            self.wait_gone(lambda: int(subprocess.run(["du", "-sm", daemon.data], stdout=subprocess.PIPE, text=True,
                                                      check=True).stdout.split()[0]) > 32)
            self.file("Dockerfile", "FROM base:1\nRUN dd if=/dev/urandom of=/f bs=1M count=8; echo 4\n")
            self.assertIn("Using cache", daemon.docker("build", self.context).stdout)
        finally:
            daemon.close()
            subprocess.run(["umount", disk], check=True)
            os.rmdir(disk)

    def test_full_disk(self):
        disk = tempfile.mkdtemp(prefix="wherry-disk.")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", disk], check=True)
        daemon = Daemon(os.path.join(disk, "data"))
        try:
            done = daemon.docker("import", make_base(daemon.dir), "base:1")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.file("big", os.urandom(1 << 20) * 20)
            for text in ("FROM base:1\nCOPY big /a\nRUN cat /a > /b && cat /a > /c && cat /a > /d && cat /a > /e\n",
                         "FROM base:1\nCOPY big /1/\nCOPY big /2/\nCOPY big /3/\nCOPY big /4/\nCOPY big /5/\n",
                         "FROM base:1\nCOPY big /1/\nCOPY big2 big3 /2/\nCOPY big2 big3 /3/\n"):
                self.file("Dockerfile", text)
                got = daemon.docker("build", self.context)
                self.assertNotEqual(got.returncode, 0)
                self.assertIn("no space left on device", (got.stderr + got.stdout).lower())
                self.wait_gone(lambda: os.listdir(daemon.data + "/layers/tmp"))
                daemon.docker("builder", "prune", "-af")
                self.wait_gone(lambda: os.listdir(daemon.data + "/layers/tmp"))
                self.file("big2", os.urandom(1 << 20) * 20)
                self.file("big3", os.urandom(1 << 20) * 20)
        finally:
            daemon.close()
            subprocess.run(["umount", disk], check=True)
            os.rmdir(disk)


if __name__ == "__main__":
    unittest.main()
