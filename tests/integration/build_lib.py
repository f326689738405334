"""What the build tests share: a daemon of our own, a base image of busybox, the docker CLI.

Needs root, crun, a static busybox and the docker CLI. The daemon runs in its own network and mount namespace, with all its state
below one temporary directory.
"""
import ctypes
import http.client
import http.server
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest

BUILD = os.path.abspath(sys.argv.pop(1) if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]) else "build")
BUSYBOX = "/usr/bin/busybox"
APPLETS = ("sh ls cat echo cp mv rm mkdir rmdir id env pwd touch ln chmod chown stat sleep test true false find grep wc head "
           "sed awk ip hostname ps yes dd sha256sum seq tr readlink printf ping tail sort mknod setsid nc").split()


def tar_of(entries):
    """A tar from (name, data or None, attributes)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data, attributes in entries:
            info = tarfile.TarInfo(name)
            for key, value in attributes.items():
                setattr(info, key, value)
            info.size = len(data or b"")
            archive.addfile(info, io.BytesIO(data or b""))
    return out.getvalue()


def make_base(directory, links=(), folders=()):
    """A root file system of busybox as a tar: its path."""
    def folder(name, mode=0o755):
        return (name, None, {"type": tarfile.DIRTYPE, "mode": mode})

    def link(name, target):
        return (name, None, {"type": tarfile.SYMTYPE, "linkname": target})

    with open(BUSYBOX, "rb") as f:
        busybox = f.read()
    entries = [folder(n) for n in ("bin", "etc", "usr", "usr/lib", "root", "var", *folders)]
    entries += [folder("tmp", 0o1777), link("lib", "usr/lib"), ("bin/busybox", busybox, {"mode": 0o755})]
    entries += [link("bin/" + applet, "busybox") for applet in APPLETS]
    entries += [
        ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n", {}),
        ("etc/group", b"root:x:0:\napp:x:1001:\nextra:x:1002:app\n", {}),
    ]
    entries += [link(name, target) for name, target in links]
    path = os.path.join(directory, "base.tar")
    with open(path, "wb") as f:
        f.write(tar_of(entries))
    return path


def processes(needle):
    out = subprocess.run(["ps", "axo", "args"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line for line in out.splitlines() if needle in line]


def between_marks(text):
    """What stands between two lines that are @@."""
    text = text.split("\n@@\n", 1)[1]
    return "" if text.startswith("@@\n") else text.split("\n@@\n")[0] + "\n"


class Daemon:
    def __init__(self, data_root=None):
        self.dir = tempfile.mkdtemp(prefix="wherry-build.")
        self.data = data_root or os.path.join(self.dir, "data")
        self.socket = os.path.join(self.dir, "s.sock")
        self.group = "wherry-" + os.path.basename(self.dir).split(".")[1]
        self.env = {"PATH": os.environ["PATH"] + ":" + os.path.join(BUILD, "docker-cli/usr/bin"), "HOME": self.dir, "DOCKER_HOST": "unix://" + self.socket,
                    "DOCKER_BUILDKIT": "0"}
        self.log = open(os.path.join(self.dir, "log"), "a", encoding="utf-8")
        self.process = None
        self.start()

    def start(self):
        command = [os.path.join(BUILD, "src/wherryd/wherryd"), "--data-root", self.data, "--exec-root", self.dir + "/run", "-H",
                   "unix://" + self.socket, "--cgroup-parent", self.group, "--bridge", "whb0", "--bip", "172.31.77.1/24"]
        script = 'ip link set lo up; exec "$@"'
        self.process = subprocess.Popen(["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
                                         *command], stdout=self.log, stderr=self.log)
        for _ in range(1500):
            if os.path.exists(self.socket) and self.docker("version").returncode == 0:
                return
            time.sleep(0.02)
        with open(self.dir + "/log", encoding="utf-8") as f:
            raise RuntimeError("the daemon does not answer: " + f.read())

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(timeout=100)

    def close(self):
        if self.process.poll() is None:
            self.stop()
        self.log.close()
        for hierarchy in [""] + os.listdir("/sys/fs/cgroup"):
            top = os.path.join("/sys/fs/cgroup", hierarchy, self.group)
            for below, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(below)
                except OSError:
                    pass
        if os.environ.get("KEEP"):
            print("kept:", self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def docker(self, *args):
        return subprocess.run(["docker", *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=300, check=False, errors="replace")

    def workers(self):
        """Build jobs that run for this daemon."""
        out = subprocess.run(["ps", "--ppid", str(self.process.pid), "-o", "args="], stdout=subprocess.PIPE, text=True,
                             check=False).stdout
        return [line for line in out.splitlines() if line.split()[1:] == ["build"]]

    def gateways(self):
        """Pids of the process that speaks BuildKit's protocol: one or none."""
        out = subprocess.run(["ps", "--ppid", str(self.process.pid), "-o", "pid=,args="], stdout=subprocess.PIPE, text=True,
                             check=False).stdout
        return [int(line.split()[0]) for line in out.splitlines() if line.split()[2:] == ["buildkit"]]

    def groups(self):
        """Control groups of builds."""
        found = []
        for hierarchy in ("", "memory", "pids", "unified"):
            path = os.path.join("/sys/fs/cgroup", hierarchy, self.group)
            if os.path.isdir(path):
                found += [n for n in os.listdir(path) if n.startswith("build-")]
        return found


def docker20():
    """The path of a docker CLI that has BuildKit's calls in itself, or None."""
    for path in ("/usr/bin/docker", os.path.join(BUILD, "docker-cli/usr/bin/docker")):
        if os.path.exists(path) and " 20.10" in subprocess.run([path, "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout:
            return path
    return None


def serve_in(case, port, handler):
    """A web server at 127.0.0.1 in the daemon's network namespace, until the test ends."""
    ready = threading.Event()
    servers = []

    def run():
        fd = os.open(f"/proc/{case.daemon.process.pid}/ns/net", os.O_RDONLY)
        failed = ctypes.CDLL(None).setns(fd, 0)  # of this thread alone
        os.close(fd)
        if not failed:
            servers.append(http.server.HTTPServer(("127.0.0.1", port), handler))
        ready.set()
        if servers:
            servers[0].serve_forever()

    threading.Thread(target=run, daemon=True).start()
    case.assertTrue(ready.wait(60) and servers)
    case.addCleanup(servers[0].server_close)
    case.addCleanup(servers[0].shutdown)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Case(unittest.TestCase):
    daemon = None

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon()
        cls.addClassCleanup(cls.daemon.close)
        base = make_base(cls.daemon.dir, [("evil", "/../../../../../../../tmp/escape"), ("up", "../../../../../../../..")])
        done = cls.daemon.docker("import", base, "base:1")
        assert done.returncode == 0, done.stderr

    def setUp(self):
        self.context = tempfile.mkdtemp(prefix="wherry-context.")
        self.addCleanup(shutil.rmtree, self.context)

    def tearDown(self):
        self.wait_gone(lambda: os.listdir(os.path.join(self.daemon.data, "layers/tmp")))
        self.wait_gone(self.daemon.groups)

    def wait_gone(self, what):
        for _ in range(1500):
            left = what()
            if not left:
                return
            time.sleep(0.02)
        self.fail(f"still there: {left}")

    def file(self, name, text="x\n", mode=0o644):
        path = os.path.join(self.context, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        return path

    def build(self, dockerfile, *args, ok=True, tag="t"):
        self.file("Dockerfile", dockerfile)
        got = self.daemon.docker("build", "-t", tag, *args, self.context)
        if ok:
            self.assertEqual(got.returncode, 0, got.stdout + got.stderr)
        else:
            self.assertNotEqual(got.returncode, 0, got.stdout)
        return got

    def inspect(self, name="t"):
        return json.loads(self.daemon.docker("image", "inspect", name).stdout)[0]

    def config(self, name="t"):
        return self.inspect(name)["Config"]

    def show(self, script, base="t"):
        """What a shell script prints in an image."""
        got = self.build(f"FROM {base}\nUSER 0\nSHELL [\"/bin/sh\", \"-c\"]\nRUN echo @@; {script}; echo @@\n", "--no-cache",
                         tag="show")
        return between_marks(got.stdout)

    def raw_build(self, body, **query):
        """POST /build as other clients do it: status and text."""
        connection = UnixConnection(self.daemon.socket)
        text = "&".join(f"{k}={v}" for k, v in query.items())
        connection.request("POST", "/v1.43/build?" + text, body, {"Content-Type": "application/x-tar"})
        answer = connection.getresponse()
        result = answer.status, answer.read().decode()
        connection.close()
        return result

    def raw_show(self, body, **query):
        """The part between @@ lines that a step prints."""
        status, text = self.raw_build(body, **query)
        self.assertEqual(status, 200, text)
        stream = "".join(json.loads(line).get("stream", "") for line in text.splitlines())
        return between_marks(stream)
