#!/usr/bin/env python3
"""`docker build`: the engine below the steps: graph, cache, limits, ends. Arguments: meson's build directory, then unittest's own."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import unittest

from build_lib import BUILD, Case, Daemon, processes, tar_of


class Graph(Case):
    def test_stages_without_need_of_each_other_run_at_the_same_time(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("one core: stages run one after another")
        wait = "RUN --mount=type=cache,target=/c touch /c/%s; until [ -e /c/%s ]; do sleep 0.02; done; rm /c/%s; touch /%s\n"
        got = self.build("FROM base:1 AS a\n" + wait % ("a", "b", "b", "a") + "RUN echo a-is-done\nFROM base:1 AS b\n" +
                         wait % ("b", "a", "a", "b") + "RUN echo b-is-done\nFROM base:1\nCOPY --from=a /a /\nCOPY --from=b /b /\n",
                         "--no-cache")
        self.assertEqual(self.show("ls /a /b"), "/a\n/b\n")
        # the classic text is that of one stage after another
        self.assertLess(got.stdout.index("a-is-done"), got.stdout.index("FROM base:1 AS b"))
        self.assertLess(got.stdout.index("b-is-done"), got.stdout.index("COPY --from=a"))
        steps = [line.split()[1] for line in got.stdout.splitlines() if line.startswith("Step ")]
        self.assertEqual(steps, [f"{k}/9" for k in range(1, 10)])

    def test_an_equal_step_of_two_stages_is_run_once(self):
        step = f"RUN --mount=type=cache,target=/k echo x >> /k/{os.getpid()}; sleep 0.3; echo made > /made\n"
        self.build(f"FROM base:1 AS a\n{step}FROM base:1 AS b\n{step}FROM base:1\nCOPY --from=a /made /a\nCOPY --from=b /made /b\n")
        got = self.build(f"FROM base:1\nRUN --mount=type=cache,target=/k wc -l < /k/{os.getpid()}\n")
        self.assertIn("\n1\n", got.stdout)

    def begin(self, *args):
        """A build that goes on by itself."""
        p = subprocess.Popen(["docker", "build", *args, self.context], env=self.daemon.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        return p

    def wait_ran(self, times):
        """Until the step of the next test was begun so often; the directory that it sees."""
        def found():
            return [p for p in pathlib.Path(self.daemon.data).glob("build-cache/mounts/*/data/ran") if len(p.read_text()) == times]
        self.wait_gone(lambda: not found())
        return found()[0].parent

    def test_who_waits_for_a_step_sees_its_log(self):
        self.file("Dockerfile", "FROM base:1\nRUN --mount=type=cache,target=/c echo said $((6 * 7)); printf x >> /c/ran; for i in $(seq 3000); do [ -e /c/go ] && break; sleep 0.02; done; "
                                "echo then $((6 * 8))\n")
        wherry = [os.path.join(BUILD, "src/wherry/wherry"), "build", "--progress", "plain", self.context]
        builds = []
        for _ in range(2):
            p = subprocess.Popen(wherry, env=self.daemon.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for undo in (p.stderr.close, p.wait, p.kill):
                self.addCleanup(undo)
            builds.append(p)
            cache = self.wait_ran(1)
        second = ""
        while "said 42" not in second:
            line = builds[1].stderr.readline()
            self.assertTrue(line, second)
            second += line
        (cache / "go").touch()
        second += builds[1].stderr.read()
        self.assertIn("then 48", second)
        self.assertIn("waiting for another build that runs this step", second)
        self.assertEqual([p.wait() for p in builds], [0, 0])
        self.assertEqual((cache / "ran").read_text(), "x")
        shutil.rmtree(cache.parent)

    def test_an_equal_step_of_two_builds_is_run_once(self):
        self.file("Dockerfile", "FROM base:1\nRUN --mount=type=cache,target=/c printf x >> /c/ran; until [ -e /c/go ]; do sleep 0.02; done\n")
        first = self.begin()
        self.wait_ran(1)
        second, third = self.begin(), self.begin()
        for p in (second, third):
            self.assertIn("waiting for another build that runs this step\n", p.stdout)
        fresh = self.begin("--no-cache")  # waits for nobody
        self.wait_ran(2)
        first.kill()  # one of the others runs it
        where = self.wait_ran(3)
        (where / "go").touch()
        for p in (second, third, fresh):
            self.assertEqual(p.wait(60), 0)
        self.wait_ran(3)
        shutil.rmtree(where.parent)

    def test_the_first_failure_ends_the_other_stages(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("one core: stages run one after another")
        got = self.build("FROM base:1 AS a\nRUN --mount=type=cache,target=/f touch /f/a; sleep 1000\n"
                         "FROM base:1 AS b\nRUN --mount=type=cache,target=/f until [ -e /f/a ]; do sleep 0.02; done; rm /f/a; echo broken; exit 7\n"
                         "FROM base:1\nCOPY --from=a /etc/passwd /a\nCOPY --from=b /etc/passwd /b\n", "--no-cache", ok=False)
        self.assertEqual(got.returncode, 7)
        self.assertIn("\nbroken\n", got.stdout)
        self.assertIn("Dockerfile:4: The command", got.stderr)

    def test_a_trigger_copies_from_a_stage_of_this_file(self):
        self.build("FROM base:1\nONBUILD COPY --from=made /x /y\n", tag="trigger")
        self.build("FROM base:1 AS made\nRUN echo 1 > /x\nFROM trigger\nCOPY --from=made /x /z\n", "--no-cache")
        self.assertEqual(self.show("cat /y /z"), "1\n1\n")


class Limits(Case):
    def test_a_step_without_memory_says_so(self):
        got = self.build("FROM base:1\nRUN tail /dev/zero\n", "--no-cache", "-m", "10m", ok=False)
        self.assertIn("returned a non-zero code: 137: it was killed: out of memory (limit 10MB)", got.stderr)
        got = self.build("FROM base:1\nRUN tail /dev/zero || exit 3\n", "--no-cache", "-m", "10m", ok=False)
        self.assertIn("returned a non-zero code: 3: a process of it was killed: out of memory (limit 10MB)", got.stderr)
        got = self.build("FROM base:1\nRUN sh -c 'kill -9 $$'; exit $?\n", "--no-cache", "-m", "10m", ok=False)
        self.assertIn("returned a non-zero code: 137", got.stderr)
        self.assertNotIn("memory", got.stderr)

    def test_a_fork_bomb_ends_in_its_step(self):
        got = self.build("FROM base:1\nRUN cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; "
                         "b() { b | b & }; b; true\nRUN echo after\n", "--no-cache")
        self.assertIn("\n2048\n", got.stdout)
        self.assertIn("\nafter\n", got.stdout)


class Vertices(Case):
    """What BuildKit's clients are told, as our own command line shows it."""

    def wherry(self, dockerfile, *args, code=0):
        self.file("Dockerfile", dockerfile)
        command = [BUILD + "/src/wherry/wherry", "-H", "unix://" + self.daemon.socket, "build", "--progress", "plain", "-t", "t"]
        got = subprocess.run([*command, *args, self.context], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             env=self.daemon.env, timeout=300, check=False)
        self.assertEqual(got.returncode, code, got.stdout)
        return got.stdout

    def steps(self, text):
        """Name of each step and how it ended."""
        names, ends = {}, []
        for line in text.splitlines():
            number, _, rest = line.partition(" ")
            if rest.startswith("["):
                names[number] = rest
            elif number in names and rest.split(" ")[0] in ("CACHED", "DONE", "ERROR:"):
                ends.append((names[number], rest.split(" ")[0]))
        return sorted(ends)

    def test_stages_and_steps_have_buildkits_names(self):
        text = "FROM base:1 AS a\nENV x=y\nRUN echo $x\nFROM a\nWORKDIR /w\nRUN echo b\nFROM base:1\nCOPY --from=1 /w /w\n"
        want = [("[a 1/2] FROM docker.io/library/base:1", "DONE"), ("[a 2/2] RUN echo $x", "CACHED"),
                ("[internal] load .dockerignore", "DONE"), ("[internal] load build definition from Dockerfile", "DONE"),
                ("[internal] load metadata for docker.io/library/base:1", "DONE"),
                ("[stage-1 1/2] WORKDIR /w", "DONE"), ("[stage-1 2/2] RUN echo b", "DONE"),
                ("[stage-2 1/2] FROM docker.io/library/base:1", "DONE"), ("[stage-2 2/2] COPY --from=1 /w /w", "CACHED")]
        self.wherry(text)
        # the same layers as before: what is copied from them is the same
        self.assertEqual(self.steps(self.wherry(text, "--no-cache-filter", "stage-1,1")), want)

    def test_an_error_is_told_with_its_place_and_its_reason(self):
        got = self.wherry("FROM base:1\nRUN exit 3\n", code=1)
        self.assertIn('ERROR: failed to solve: process "/bin/sh -c exit 3" did not complete successfully: exit code: 3\n', got)
        self.assertIn(">>> RUN exit 3\n", got)
        got = self.wherry("FROM base:1\nRUN tail /dev/zero\n", "-m", "10m", code=1)
        self.assertIn("exit code: 137: it was killed: out of memory (limit 10MB)\n", got)

    def test_a_secrets_value_changes_no_step(self):
        text = "FROM base:1\nRUN --mount=type=secret,id=s cat /run/secrets/s > /said\n"
        for value, end in (("one", "DONE"), ("two", "CACHED")):
            secret = self.file("../" + os.path.basename(self.context) + ".secret", value)
            got = self.wherry(text, "--secret", "id=s,src=" + secret)
            os.unlink(secret)
            self.assertIn(end, [e for name, e in self.steps(got) if "RUN" in name])
        self.assertEqual(self.show("cat /said; echo"), "one\n")

    def test_limits_are_those_of_the_steps_control_group(self):
        one = "".join(f"cat /sys/fs/cgroup/{v2} /sys/fs/cgroup/{v1} 2>/dev/null; " for v2, v1 in (
            ("memory.max", "memory/memory.limit_in_bytes"), ("cpu.max", "cpu/cpu.cfs_quota_us"), ("cpu.weight", "cpu/cpu.shares"),
            ("cpuset.cpus", "cpuset/cpuset.cpus")))
        got = self.wherry(f"FROM base:1\nRUN echo = $({one}) =\n", "--no-cache", "-m", "20m", "--cpu-period", "100000", "--cpu-quota", "50000",
                          "--cpu-shares", "512", "--cpuset-cpus", "0")
        self.assertRegex(got, "= 20971520 (50000 512|50000 100000 [0-9]+) 0 =")

    def test_several_platforms_are_the_same_graph_again(self):
        text = ("FROM --platform=$BUILDPLATFORM base:1 AS gen\nARG TARGETARCH\nARG BUILDARCH\nARG TARGETVARIANT\n"
                "RUN echo $TARGETARCH/$TARGETVARIANT of $BUILDARCH > /arch\nFROM scratch\nCOPY --from=gen /arch /arch\n")
        out = self.context + "/out"
        said = self.wherry(text, "--platform", "linux/arm64,linux/arm/v7", "--output", "type=local,dest=" + out)
        for directory, want in (("linux_arm64", "arm64/"), ("linux_arm_v7", "arm/v7")):
            with open(f"{out}/{directory}/arch", encoding="utf-8") as f:
                self.assertEqual(f.read().split(" ")[0], want)
        self.assertIn("stage-1 1/1] COPY --from=gen /arch /arch", said)
        self.assertIn("linux/arm/v7", said)

    def test_rewritten_times_are_the_epoch(self):
        text = "FROM base:1\nRUN echo 1 > /etc/now; mkdir -p /n/m; ln -s a /n/l\n"
        epoch = ["--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1600000000"]
        self.wherry(text, *epoch, "--output", "type=image,name=t,rewrite-timestamp=true")
        first = self.inspect()
        self.wherry(text, *epoch, "--output", "type=image,name=t,rewrite-timestamp=true")
        self.assertEqual(self.inspect()["Id"], first["Id"])
        self.assertEqual(self.show("stat -c %Y /etc/now /n /n/m /n/l"), "1600000000\n" * 4)
        self.wherry(text, *epoch)
        self.assertNotEqual(self.inspect()["RootFS"], first["RootFS"])


class Cache(Case):
    """notes: what changes a step and what does not. A row: the change, and which steps the cache has afterwards."""
    TEXT = """FROM base:1
ARG V=1
COPY f /f
COPY d /d/
RUN echo "$V" > /v; wc -c /f
RUN echo last > /last
"""

    def setUp(self):
        super().setUp()
        self.file("f", "1\n")
        self.file("other", "1\n")
        self.file("d/x", "1\n")
        os.symlink("../other", self.context + "/d/link")
        self.build(self.TEXT)
        self.assertEqual(self.cached(), [True] * 4)

    def cached(self, text=TEXT, *args):
        """Of each COPY and RUN, whether the cache had it."""
        got = self.build(text, *args).stdout
        steps = [part for part in got.split("\nStep ") if " COPY " in part.split("\n")[0] or " RUN " in part.split("\n")[0].upper()]
        return ["Using cache" in step for step in steps]

    def check(self, rows):
        for name, want, text, *args in rows:
            with self.subTest(name):
                self.assertEqual(self.cached(text, *args), want)

    def test_what_files_change(self):
        def touch(path):
            os.utime(self.context + "/" + path, (1, 1))

        def own(path):
            os.chown(self.context + "/" + path, 12, 34)

        def relink(path, target):
            os.unlink(self.context + "/" + path)
            os.symlink(target, self.context + "/" + path)

        hit, rows = [True] * 4, [
            ("time", lambda: touch("f"), [True] * 4), ("owner", lambda: own("f"), [True] * 4),
            ("another file", lambda: self.file("other", "2\n"), [True] * 4),
            ("content", lambda: self.file("f", "22\n"), [False] * 4),
            ("content, back again", lambda: self.file("f", "1\n"), [True] * 4),
            ("mode", lambda: os.chmod(self.context + "/f", 0o600), [False] * 4),
            ("mode, back again", lambda: os.chmod(self.context + "/f", 0o644), [True] * 4),
            ("name", lambda: os.rename(self.context + "/d/x", self.context + "/d/y"), [True, False, False, False]),
            ("name, back again", lambda: os.rename(self.context + "/d/y", self.context + "/d/x"), [True] * 4),
            ("an empty directory", lambda: os.mkdir(self.context + "/d/e"), [True, False, False, False]),
            ("no such directory again", lambda: os.rmdir(self.context + "/d/e"), [True] * 4),
            ("what a link names", lambda: relink("d/link", "../elsewhere"), [True, False, False, False]),
            ("what a link names, back again", lambda: relink("d/link", "../other"), [True] * 4),
        ]
        self.assertEqual(self.cached(), hit)
        for name, change, want in rows:
            with self.subTest(name):
                change()
                self.assertEqual(self.cached(), want)

    def test_what_instructions_change(self):
        text = self.TEXT
        before = lambda line: text.replace("RUN echo \"", line + "\nRUN echo \"")  # noqa: E731
        self.check([
            ("a label", [True] * 4, before("LABEL a=1")), ("a port", [True] * 4, before("EXPOSE 80")),
            ("a command", [True] * 4, before("CMD x")), ("a comment", [True] * 4, before("# x")),
            ("blanks and case", [True] * 4, text.replace("RUN echo \"", "run    echo \"")),
            ("an argument that is not declared", [True] * 4, text, "--build-arg", "OTHER=1"),
            ("a proxy", [True] * 4, text, "--build-arg", "HTTP_PROXY=http://p"),
            ("the environment", [True, True, False, False], before("ENV E=1")),
            ("the user", [True, True, False, False], before("USER 0:0")),
            ("the directory", [True, True, False, False], before("WORKDIR /tmp")),
            ("the shell", [True, True, False, False], before('SHELL ["/bin/busybox", "sh", "-c"]')),
            ("an argument", [True, True, False, False], text, "--build-arg", "V=2"),
            ("an argument, back again", [True] * 4, text),
            ("the owner", [False] * 4, text.replace("COPY f", "COPY --chown=1 f")),
            ("the destination", [False] * 4, text.replace("COPY f /f", "COPY f /g").replace("wc -c /f", "wc -c /g")),
            ("all", [False] * 4, text, "--no-cache"),
        ])

    def test_a_link_that_is_followed_is_what_it_leads_to(self):
        for name, text in (("one", "1\n"), ("two", "2\n"), ("same", "1\n")):
            self.file(name, text)
        text = "FROM base:1\nCOPY link /l\nRUN cat /l > /linked\n"
        results = []
        for target in ("one", "same", "two", "one"):
            os.symlink(target, self.context + "/link")
            results.append(self.cached(text))
            os.unlink(self.context + "/link")
        self.assertEqual(results, [[False] * 2, [True] * 2, [False] * 2, [True] * 2])

    def test_proxies_are_in_the_step_and_nowhere_else(self):
        text = "FROM base:1\nRUN env | grep -i _proxy= | sort\nENV x=y\n"
        got = self.build(text, "--no-cache", "--build-arg", "http_proxy=http://a:1", "--build-arg", "NO_PROXY=b")
        self.assertIn("HTTP_PROXY=http://a:1\nNO_PROXY=b\nhttp_proxy=http://a:1\nno_proxy=b\n", got.stdout)
        self.assertNotIn("not consumed", got.stdout)
        for secret in ("a:1", "NO_PROXY", "no_proxy"):
            self.assertNotIn(secret, self.daemon.docker("image", "inspect", "t").stdout)
            self.assertNotIn(secret, self.daemon.docker("history", "--no-trunc", "t").stdout)

    def test_a_stage_with_an_equal_result(self):
        text = ("FROM base:1 AS a\nRUN echo same > /out; echo %d > /other\n"
                "FROM base:1\nCOPY --from=a /out /out\nRUN echo after > /after\n")
        self.build(text % 1)
        self.assertEqual(self.cached(text % 2), [False, True, True])

    def test_the_base_is_what_it_is_not_what_it_is_called(self):
        text = "FROM moving\nRUN cat /which\n"
        for which in "12":
            self.build(f"FROM base:1\nRUN echo {which} > /which\n", tag="moving" + which)
        results = []
        for which in "121":
            self.daemon.docker("tag", "moving" + which, "moving")
            results += self.cached(text)
        self.assertEqual(results, [False, False, True])

    def test_a_failure_is_never_kept(self):
        text = "FROM base:1\nRUN echo good > /good\nRUN echo bad; exit 3\n"
        first = self.build(text, ok=False)
        again = self.build(text, ok=False)
        self.assertIn("\nbad\n", first.stdout)
        self.assertIn("\nbad\n", again.stdout)
        self.assertEqual(again.stdout.count("Using cache"), 1)

    def test_what_is_mounted(self):
        text = ("FROM base:1\nRUN --mount=type=bind,source=f,target=/m cat /m\n"
                "RUN --mount=type=cache,target=/c date >> /c/x 2>/dev/null || echo >> /c/x\n")
        self.build(text)
        self.file("other", "3\n")
        self.assertEqual(self.cached(text), [True, True])
        self.file("f", "3\n")
        self.assertFalse(self.cached(text)[0])


class Same(Case):
    TEXT = "FROM base:1\nCOPY f /new/dir/f\nCOPY d /usr/d\nWORKDIR /w/x\nCOPY <<EOF /etc/text\nhello\nEOF\nENV a=b\n"

    def layers(self):
        return self.inspect()["RootFS"]["Layers"][1:]

    def test_equal_inputs_give_equal_layers_and_with_an_epoch_equal_images(self):
        self.file("f")
        self.file("d/e/g")
        args = ["--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1700000000"]
        self.build(self.TEXT, "--no-cache")
        first = self.layers()
        got = self.build(self.TEXT, *args)
        self.assertNotIn("not consumed", got.stdout)
        image, other = self.inspect(), Daemon()
        self.addCleanup(other.close)
        archive = self.daemon.dir + "/base1.tar"
        self.daemon.docker("save", "-o", archive, "base:1")
        other.docker("load", "-i", archive)
        for dated in ([], args[1:]):
            done = other.docker("build", "-t", "t", *dated, self.context)
            self.assertEqual(done.returncode, 0, done.stderr)
            made = json.loads(other.docker("image", "inspect", "t").stdout)[0]
            self.assertEqual(made["RootFS"]["Layers"][1:], image["RootFS"]["Layers"][1:] if dated else first)
        self.assertEqual(made["Id"], image["Id"])
        self.assertEqual(image["Created"], "2023-11-14T22:13:20Z")
        history = json.loads(self.daemon.docker("history", "--format", "json", "--human=false", "t").stdout.splitlines()[0])
        self.assertEqual(history["CreatedAt"], "2023-11-14T22:13:20Z")
        self.assertEqual(self.show("stat -c %Y /new /new/dir /usr /w/x /etc/text"), "1700000000\n" * 5)


class Ends(Case):
    """A build that is killed at any instant leaves nothing."""
    MARK = "killed-at-any-instant"
    TEXT = (f"FROM base:1 AS a\nCOPY d /d\nRUN : {MARK}; echo a > /a; (sleep 777 &) ; yes | head -c 300000 > /y\n"
            f"FROM base:1 AS b\nWORKDIR /w\nRUN --mount=type=tmpfs,target=/t : {MARK}; echo b > /b; sleep 0.05\n"
            f"FROM base:1\nCOPY --from=a /a /\nCOPY --from=b /b /\nRUN --mount=type=bind,from=b,target=/m : {MARK}; cat /a /b; ls /m\n")

    def body(self):
        files = [(f"d/{n}", b"x" * 1000, {}) for n in range(50)]
        return tar_of([("Dockerfile", self.TEXT.encode(), {})] + files)

    def start(self, lines):
        """A build that has sent so many lines (or is over): its socket."""
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.settimeout(60)
        s.connect(self.daemon.socket)
        body = self.body()
        s.sendall(b"POST /v1.43/build?nocache=1&t=k HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        got = b""
        while got.count(b"stream") < lines:
            part = s.recv(4096)
            if not part:
                break
            got += part
        return s

    def leftovers(self):
        found = [p for p in processes(self.daemon.data + "/layers/tmp") + processes(self.MARK) if "ps axo" not in p]
        found += self.daemon.workers() + self.daemon.groups() + os.listdir(self.daemon.data + "/layers/tmp")
        for pid in [p for p in os.listdir("/proc") if p.isdigit()]:
            try:
                with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as f:
                    found += [line for line in f if self.daemon.data + "/layers/tmp" in line]
            except OSError:
                pass
        links = subprocess.run(["nsenter", "-t", str(self.daemon.process.pid), "-n", "ip", "-o", "link"], stdout=subprocess.PIPE,
                               text=True, check=False).stdout
        return found + [line for line in links.splitlines() if "veth" in line]

    def check(self):
        self.wait_gone(self.leftovers)
        names = set(os.listdir(self.daemon.data + "/layers")) - {"tmp", "empty"}
        for name in names:
            self.assertIn(name[:-7] if name.endswith(".recipe") else name + ".recipe", names)

    def after(self):
        status, text = self.raw_build(self.body(), nocache=1)
        self.assertEqual(status, 200)
        self.assertIn("Successfully built", text)
        self.check()

    def test_its_client_is_gone(self):
        for lines in range(0, 28, 6):
            with self.subTest(lines):
                self.start(lines).close()
                self.check()
        self.after()

    def test_its_worker_is_killed(self):
        for lines in range(0, 28, 6):
            with self.subTest(lines):
                s = self.start(lines)
                subprocess.run(["pkill", "-9", "-P", str(self.daemon.process.pid), "-x", "wherry-worker"], check=False)
                while s.recv(65536):
                    pass
                self.check()
        self.after()

    def kit(self, *args):
        """The same by BuildKit's calls: the client's process."""
        command = [BUILD + "/src/wherry/wherry", "build", "--progress", "plain", "--build-arg", "SOURCE_DATE_EPOCH=1600000000", "--output",
                   "type=image,name=k,rewrite-timestamp=true", *args, self.context]
        client = subprocess.Popen(command, env=self.daemon.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(client.stdout.close)
        return client

    def made(self, *args):
        client = self.kit(*args)
        said = client.stdout.read()
        self.assertEqual(client.wait(), 0, said)
        return self.inspect("k")["Id"]

    def test_whoever_speaks_buildkits_protocol_is_killed(self):
        """The client, the process between it and the build, the build: what is made next is what would have been made."""
        for n in range(50):
            self.file(f"d/{n}", b"x" * 1000)
        self.file("Dockerfile", self.TEXT)
        want = self.made("--no-cache")
        for lines in (1, 12, 22, 32):
            for victim in ("client", "gateway", "build"):
                with self.subTest(victim=victim, lines=lines):
                    client = self.kit("--no-cache")
                    for _ in range(lines):
                        client.stdout.readline()
                    if victim == "client":
                        client.kill()
                    elif victim == "gateway":
                        pids = self.daemon.gateways()
                        self.assertEqual(len(pids), 1)
                        os.kill(pids[0], signal.SIGKILL)
                    else:
                        subprocess.run(["pkill", "-9", "-P", str(self.daemon.process.pid), "-f", "wherry-worker build$"], check=False)
                    client.stdout.read()
                    client.wait()
                    self.check()
                    self.assertEqual(self.made(), want)
        self.assertEqual(self.made("--no-cache"), want)
        self.check()

    def test_a_group_that_is_busy_when_its_build_ends_goes_later(self):
        """Processes that come into it faster than they die stand for one that dies slowly."""
        client = self.start(12)
        name = self.daemon.groups()[0]
        places = [f"/sys/fs/cgroup/{h}/{self.daemon.group}/{name}/worker/cgroup.procs" for h in (".", "unified", "pids")]
        script = 'for i in $(seq 400); do sleep 2 & echo $! >"$0" || break; done 2>/dev/null'
        crowd = [subprocess.Popen(["bash", "-c", script, next(p for p in places if os.path.exists(p))]) for _ in range(4)]
        client.close()
        for c in crowd:
            c.wait()
        self.check()

    def test_what_it_made_before_is_kept(self):
        text = f"FROM base:1\nRUN date +%%N > /n; echo {os.getpid()}\nRUN %s\n"
        self.file("Dockerfile", text % "echo waiting; sleep 1000")
        client = subprocess.Popen(["docker", "build", self.context], env=self.daemon.env, stdout=subprocess.PIPE)
        self.addCleanup(client.stdout.close)
        for line in client.stdout:
            if line.strip() == b"waiting":
                break
        client.kill()
        client.wait()
        self.check()
        self.assertEqual(self.build(text % "true").stdout.count("Using cache"), 1)

    def test_the_daemon_is_killed(self):
        for lines in range(1, 28, 9):
            with self.subTest(lines):
                self.start(lines)
                self.daemon.stop(signal.SIGKILL)
                os.unlink(self.daemon.socket)
                self.daemon.start()
                self.check()
        self.after()


if __name__ == "__main__":
    unittest.main()
