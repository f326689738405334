#!/usr/bin/env python3
"""RUN --mount. Arguments: meson's build directory, then unittest's own."""
import fcntl
import glob
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

from build_lib import BUILD, Case, docker20


def run_job(name, request):
    """A wherry-worker without its daemon."""
    ours, theirs = socket.socketpair()
    worker = os.path.join(BUILD, "src/worker/wherry-worker")
    process = subprocess.Popen(["bash", "-c", f'exec 3<&{theirs.fileno()}; exec "$0" "$1"', worker, name],
                               pass_fds=[theirs.fileno()])
    theirs.close()
    ours.sendall(json.dumps(request).encode() + b"\n")
    with ours.makefile() as lines:
        answer = lines.read()
    process.wait(timeout=300)
    ours.close()
    return json.loads(answer.splitlines()[-1])


class Mounts(Case):
    def run_step(self, flags, command, before="", ok=True):
        """One RUN on the base image; its output between @@ lines when it works."""
        got = self.build(f"{before}FROM base:1\nRUN {flags} echo @@; {command}; echo @@\n", "--no-cache", ok=ok)
        return got.stdout.split("\n@@\n")[1] if ok and "\n@@\n" in got.stdout else got.stderr


class Bind(Mounts):
    def test_writes_are_thrown_away(self):
        self.file("dir/f", "mine\n")
        stage = "FROM base:1 AS other\nRUN mkdir /o; echo theirs > /o/f\n"
        for flags, path in (("--mount=target=/m,rw", "/m/dir/f"), ("--mount=src=dir,target=/m,rw", "/m/f"),
                            ("--mount=src=dir/f,target=/m/file,rw", "/m/file"), ("--mount=from=other,src=/o,target=/m,rw=true", "/m/f")):
            got = self.run_step(flags, f"echo more >> {path}; cat {path}", stage)
            self.assertIn(got, ("mine\nmore", "theirs\nmore"))
        self.assertEqual(self.run_step("--mount=from=other,src=/o,target=/m", "cat /m/f; (echo x >> /m/f) 2>/dev/null || echo no", stage), "theirs\nno")
        with open(self.context + "/dir/f", encoding="utf-8") as f:
            self.assertEqual(f.read(), "mine\n")

    def test_variables_and_quotes(self):
        self.file("a,b/f", "odd\n")
        self.build("FROM base:1\nARG D=a,b\nENV T=/t\nRUN --mount=type=bind,source=$D,target=${T}/x cp /t/x/f /f\n"
                   "RUN --mount=type=bind,\"source=a\\,b\",target=/y true\n", ok=False)
        self.build("FROM base:1\nARG D=a,b\nENV T=/t\nRUN --mount=type=bind,source=$D,target=${T}/x cp /t/x/f /f\n")
        self.assertEqual(self.show("cat /f; ls -d /t 2>&1"), "odd\nls: /t: No such file or directory\n")

    def test_errors_have_line_and_reason(self):
        for flag, words in (("source=nosuch,target=/m", "nosuch does not exist in its source (the build context"),
                            ("from=base:1,source=/nosuch,target=/m", "/nosuch does not exist in its source"),
                            ("type=bind", "it needs a target"), ("target=/", 'invalid mount target "/"'),
                            ("tarket=/m", "did you mean target?")):
            self.assertIn("Dockerfile:2: ", self.run_step("--mount=" + flag, "true", ok=False))
            self.assertIn(words, self.run_step("--mount=" + flag, "true", ok=False))


class Points(Mounts):
    """Where a mount goes is resolved in the step's root; what is left there does not stay."""

    def test_links_as_targets_stay_inside(self):
        outside = tempfile.mkdtemp(prefix="wherry-outside.")
        self.addCleanup(shutil.rmtree, outside)
        before = f"""FROM base:1 AS links
RUN ln -s /../../../..{outside} /abs && ln -s ../../../..{outside}/new /rel && mkdir /real && ln -s real /dir && ln -s /nowhere/else /dangling
"""
        for target in ("/abs", "/rel/x", "/dir", "/dangling"):
            got = self.build(before + "FROM links\n"
                             f"RUN --mount=type=tmpfs,target={target} echo @@; grep -c ' tmpfs .*size=' /proc/mounts; touch {target}/f; echo @@\n",
                             "--no-cache")
            self.assertIn("@@", got.stdout)
        self.assertEqual(os.listdir(outside), [])
        self.build(before + "FROM links\nRUN --mount=type=tmpfs,target=/rel/x --mount=type=tmpfs,target=/dangling touch /dangling/f\n")
        self.assertEqual(self.show(f"ls -d {outside} /nowhere /real"
                                   " 2>/dev/null"), "/real\n")

    def test_the_runtimes_places_are_refused(self):
        links = "FROM base:1 AS links\nRUN ln -s /proc /p && ln -s ../sys/fs /s && ln -s dev /d && ln -s / /r\n"
        for target in ("/proc", "/proc/self/attr", "/x/../proc/sys", "/sys", "/dev", "/p", "/p/sys", "/s", "/d", "/r"):
            got = self.build(links + f"FROM links\nRUN --mount=type=tmpfs,target={target} true\n", ok=False)
            self.assertIn(f'Dockerfile:4: invalid mount target "{os.path.normpath(target)}"', got.stderr)
        self.build("FROM base:1\nRUN --mount=type=tmpfs,target=/dev/shm/x true\n")

    def test_a_root_without_its_directories(self):
        self.build("FROM base:1\nRUN rmdir /proc /sys /dev 2>/dev/null; ln -s usr /proc2\n")
        got = self.build("FROM base:1 AS a\nFROM scratch\nCOPY --from=a / /\nCOPY link /\nRUN true\n", ok=False)
        self.assertIn("does not exist", got.stderr)
        os.symlink("/tmp", self.context + "/proc")
        got = self.build("FROM base:1\nCOPY . /\nRUN true\n", ok=False)
        self.assertIn("/proc of the image must be a directory", got.stderr)

    def test_what_is_removed_is_what_was_made(self):
        """CVE-2024-23652: links put in the way of the mount point lead elsewhere when it is removed."""
        outside = tempfile.mkdtemp(prefix="wherry-outside.")
        self.addCleanup(shutil.rmtree, outside)
        os.mkdir(outside + "/point")
        self.build(f"""FROM base:1
RUN mkdir -p /kept/point
RUN --mount=type=cache,target=/way/point mv /way /away && ln -s /../../../..{outside} /way
RUN --mount=type=cache,target=/way2/point mv /way2 /away2 && ln -s kept /way2
""")
        self.assertTrue(os.path.isdir(outside + "/point"))
        self.assertEqual(self.show("ls -d /kept/point"), "/kept/point\n")


class Cache(Mounts):
    def setUp(self):
        super().setUp()
        self.cache_dir = os.path.join(self.daemon.data, "build-cache")
        self.prune()

    def caches(self, **request):
        got = run_job("cache-mounts", {"dir": self.cache_dir, **request})
        return got["result"]

    def prune(self):
        got = self.caches(all=True)
        self.assertEqual(got["mounts"], [])
        return got["removed"]

    def test_first_content_comes_from_a_stage(self):
        stage = "FROM base:1 AS first\nRUN mkdir -p /d/s && echo one > /d/s/f && chown 5:6 /d/s/f && chmod 750 /d\n"
        flag = "--mount=type=cache,id=k,from=first,source=/d,target=/c"
        got = self.build(stage + f"FROM base:1\nRUN {flag} cat /c/s/f; stat -c '%u:%g %a' /c/s/f /c; echo more >> /c/s/f\n")
        self.assertIn("\none\n5:6 644\n0:0 750\n", got.stdout)
        self.assertIn("\none\nmore\n", self.build(stage + f"FROM base:1\nRUN {flag} cat /c/s/f\n").stdout)
        self.assertEqual(self.run_step("--mount=type=cache,id=k,target=/c", "ls /c | wc -l", stage), "0")

    def test_owner_and_mode_make_another_cache(self):
        self.assertEqual(self.run_step("--mount=type=cache,id=k,target=/c", "touch /c/x; stat -c '%u:%g %a' /c"), "0:0 755")
        got = self.run_step("--mount=type=cache,id=k,target=/c,uid=5,gid=6,mode=0700", "ls /c; stat -c '%u:%g %a' /c")
        self.assertEqual(got, "5:6 700")

    def test_one_cache_twice_in_a_step(self):
        got = self.run_step("--mount=type=cache,id=k,target=/a,sharing=locked --mount=type=cache,id=k,target=/b"
                            " --mount=type=cache,id=k,target=/c,ro,sharing=private", "touch /a/x; ls /b /c")
        self.assertEqual(got, "/b:\nx\n\n/c:\nx")

    def test_a_path_in_a_cache_is_resolved_there(self):
        """CVE-2024-23651 and its kin: a step makes the path a link, the next one mounts it."""
        with tempfile.TemporaryDirectory(prefix="wherry-outside.") as outside:
            with open(outside + "/secret", "w", encoding="utf-8") as f:
                f.write("of the host\n")
            self.run_step("--mount=type=cache,id=k,target=/c",
                          f"ln -s {outside} /c/abs; ln -s ../../../../../../../../..{outside}/secret /c/rel; mkdir /c/d; echo in > /c/d/f;"
                          " ln -s /d /c/inside; ln -s / /c/root")
            for path in ("abs", "rel", "root" + outside, "../.." + outside):
                got = self.run_step(f"--mount=type=cache,id=k,source={path},target=/m", "cat /m /m/secret", ok=False)
                self.assertIn(f"{path} does not exist in the cache k", got)
            self.assertEqual(self.run_step("--mount=type=cache,id=k,source=inside,target=/m", "cat /m/f"), "in")

    def test_they_are_listed_and_removed_unless_in_use(self):
        self.run_step("--mount=type=cache,target=/idle", "dd if=/dev/zero of=/idle/f bs=1000 count=3 2>/dev/null")
        held = "FROM base:1\nRUN --mount=type=cache,id=held,target=/c touch /c/in; until [ -e /c/go ]; do sleep 0.05; done\n"
        self.file("Dockerfile", held)
        done = threading.Thread(target=self.daemon.docker, args=("build", self.context))
        done.start()
        try:
            self.wait_gone(lambda: not any(m["id"] == "held" and m["in_use"] for m in self.caches()["mounts"]))
            by_id = {m["id"]: m for m in self.caches()["mounts"]}
            self.assertEqual((by_id["/idle"]["bytes"] // 1000, by_id["/idle"]["in_use"], by_id["held"]["target"]), (3, False, "/c"))
            self.assertGreaterEqual(by_id["/idle"]["used"], by_id["/idle"]["created"])
            got = self.caches(remove=[m["name"] for m in by_id.values()])
            self.assertEqual([[m["id"] for m in got[k]] for k in ("removed", "mounts")], [["/idle"], ["held"]])
        finally:
            name = next(m["name"] for m in self.caches()["mounts"] if m["id"] == "held")
            with open(f"{self.cache_dir}/mounts/{name}/data/go", "w", encoding="utf-8"):
                pass
            done.join()

    def test_the_first_users_of_a_shared_cache_do_not_wait_for_each_other(self):
        """Another one has found no content, either, and shares the cache as long as its step takes."""
        self.run_step("--mount=type=cache,id=k,target=/c", "true")
        cache, = glob.glob(self.cache_dir + "/mounts/*")
        shutil.rmtree(cache + "/data")
        other = os.open(cache, os.O_RDONLY)
        self.addCleanup(os.close, other)
        fcntl.flock(other, fcntl.LOCK_SH)
        self.file("Dockerfile", "FROM base:1\nRUN --mount=type=cache,id=k,target=/c touch /c/x\n")
        got = subprocess.run(["docker", "build", self.context], env=self.daemon.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, timeout=60, check=False)
        self.assertEqual(got.returncode, 0, got.stdout)
        self.assertEqual(os.listdir(cache + "/data"), ["x"])

    def test_users_of_a_locked_cache_wait_for_each_other(self):
        """Both add one to a number; a private one has a number of its own."""
        text = ("FROM base:1\nRUN --mount=type=cache,id=k,target=/c,sharing=locked echo %d; n=$(cat /c/n || echo 0); sleep 0.2; "
                "echo $((n + 1)) > /c/n\n")
        threads = []
        for k in range(3):
            context = tempfile.mkdtemp(prefix="wherry-context.")
            self.addCleanup(shutil.rmtree, context)
            with open(context + "/Dockerfile", "w", encoding="utf-8") as f:
                f.write(text % k)
            threads.append(threading.Thread(target=self.daemon.docker, args=("build", context)))
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(self.run_step("--mount=type=cache,id=k,target=/c", "cat /c/n"), "3")



class Session(Mounts):
    """What comes from the client while a step runs, by our own command line."""

    def kit(self, dockerfile, *args, ok=True, client=None):
        self.file("Dockerfile", dockerfile)
        command = [client or os.path.join(BUILD, "src/wherry/wherry"), "build", "--progress", "plain", "--no-cache", "-t", "kit", *args,
                   self.context]
        got = subprocess.run(command, env={**self.daemon.env, "DOCKER_BUILDKIT": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                             check=False)
        self.assertEqual(got.returncode == 0, ok, got.stdout)
        return got.stdout

    def holders(self, text):
        """Files of the daemon that hold a text."""
        found = subprocess.run(["grep", "-rlaF", text, self.daemon.data, self.daemon.dir + "/log"], stdout=subprocess.PIPE, text=True,
                               check=False)
        return found.stdout.splitlines()

    def test_a_secret_is_for_the_step_alone(self):
        value = "very-" + "secret-" + os.urandom(8).hex()
        secret = os.path.join(self.daemon.dir, "secret")
        with open(secret, "w", encoding="utf-8") as f:
            f.write(value)
        held = self.file("wait", "#!/bin/sh\ntouch /c/in; until [ -e /c/go ]; do sleep 0.05; done\n", 0o755)
        self.assertTrue(held)
        text = ("FROM base:1\n"
                "RUN --mount=type=secret,id=s,required=true,mode=0440,uid=5 cat /run/secrets/s | sha256sum > /sum; stat -c '%u %a' "
                "/run/secrets/s > /stat; ! touch /run/secrets/s\n"
                "RUN --mount=type=secret,id=s,env=TOKEN --mount=type=secret,id=s,target=/etc/deep/er/file echo ${#TOKEN} > /len; cat "
                "/etc/deep/er/file | wc -c >> /len\n"
                "RUN --mount=type=secret,id=none echo optional; ! ls /run\n"
                "RUN --mount=type=secret,id=s,env=TOKEN --mount=type=cache,id=held,target=/c --mount=target=/m /m/wait\n")
        out = []
        build = threading.Thread(target=lambda: out.append(self.kit(text, "--secret", f"id=s,src={secret}")))
        build.start()
        mounts = os.path.join(self.daemon.data, "build-cache/mounts")
        try:
            self.wait_gone(lambda: not [d for d in (os.listdir(mounts) if os.path.isdir(mounts) else [])
                                        if os.path.exists(f"{mounts}/{d}/data/in")])
            self.assertEqual(self.holders(value), [])  # while a step has it in its environment
        finally:
            for name in os.listdir(mounts):
                with open(f"{mounts}/{name}/data/go", "w", encoding="utf-8"):
                    pass
            build.join()
        self.assertEqual(self.show("cat /stat /len; ls -d /run /etc/deep 2>&1 | grep -c No", base="kit"),
                         f"5 440\n{len(value)}\n{len(value)}\n2\n")
        self.assertEqual(self.holders(value), [])
        self.assertNotIn(value, out[0] + json.dumps(self.inspect("kit")))

    def test_a_missing_secret_is_named(self):
        got = self.kit("FROM base:1\nRUN --mount=type=secret,id=nope,required=true true\n", ok=False)
        self.assertIn("Dockerfile:2: secret nope: not found", got)
        got = self.kit("FROM base:1\nRUN --mount=type=ssh,required=true true\n", ok=False)
        self.assertIn('no SSH key "default" forwarded from the client', got)

    def test_an_agent_answers_in_the_step(self):
        """ssh-add of this machine, with its libraries, in the step."""
        for program in ("ssh-agent", "ssh-add", "ssh-keygen"):
            if not shutil.which(program):
                self.skipTest(program + " is not installed")
        agent = os.path.join(self.daemon.dir, "agent")
        process = subprocess.Popen(["ssh-agent", "-D", "-a", agent], stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.wait_gone(lambda: not os.path.exists(agent))
        key = os.path.join(self.daemon.dir, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "of-the-test", "-f", key], check=True)
        subprocess.run(["ssh-add", "-q", key], env={"SSH_AUTH_SOCK": agent}, check=True, stderr=subprocess.DEVNULL)
        program = shutil.which("ssh-add")
        needs = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True).stdout
        for path in [program] + [word for word in needs.split() if word.startswith("/")]:
            with open(path, "rb") as f:
                self.file("root" + path, f.read(), 0o755)
        text = (f"FROM base:1\nCOPY root /\nRUN --mount=type=ssh {program} -L\nRUN --mount=type=ssh,id=other ls /run/buildkit || true\n"
                f"RUN --mount=type=ssh,target=/agent,mode=0666 SSH_AUTH_SOCK=/agent {program} -l; stat -c %a /agent\n")
        for client in ({}, {"client": docker20()}):
            got = self.kit(text, "--ssh", "default=" + agent, **client)
            self.assertEqual(got.count("of-the-test"), 2, got)
            self.assertIn("666", got)
            self.assertIn("/run/buildkit: No such file", got)


if __name__ == "__main__":
    unittest.main()
