"""The engines that bench compares: each in directories and in a control group of its own, started for the run only.

The control group holds daemon, helpers, clients and containers, so its CPU time is what an operation costs the machine,
and the processes of its part `engine` are what the engine needs beside the containers.
"""
import http.client, json, os, re, shutil, signal, socket, subprocess, time


def run(args, **kw):
    return subprocess.run(args, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **kw)


class Group:
    """A control group on every v1 hierarchy there is, or on v2."""

    def __init__(self, name):
        self.v2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
        tops = ["/sys/fs/cgroup"] if self.v2 else [f"/sys/fs/cgroup/{c}" for c in ("cpuacct", "memory", "pids")]
        self.name = name
        self.dirs = [f"{top}/{name}" for top in tops]
        for d in self.dirs:
            os.makedirs(f"{d}/engine", exist_ok=True)

    def enter(self):
        for d in self.dirs:
            with open(f"{d}/engine/cgroup.procs", "w") as f:
                f.write(str(os.getpid()))

    def cpu_ms(self):
        if self.v2:
            with open(f"{self.dirs[0]}/cpu.stat") as f:
                return int(re.search(r"usage_usec (\d+)", f.read()).group(1)) / 1000
        with open(f"{self.dirs[0]}/cpuacct.usage") as f:
            return int(f.read()) / 1e6

    def engine_pids(self):
        with open(f"{self.dirs[0]}/engine/cgroup.procs") as f:
            return [int(line) for line in f]

    def remove(self):
        for d in self.dirs:
            for path, _, _ in os.walk(d, topdown=False):
                try:
                    os.rmdir(path)
                except OSError:
                    pass


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("engine", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


class Engine:
    """One daemon and its client. Subclasses say what command they are."""

    def __init__(self, top, build):
        self.dir = os.path.join(top, self.name)
        os.makedirs(self.dir)
        self.sock = f"{self.dir}/sock"
        self.log = open(f"{self.dir}/log", "w")
        self.group = Group(f"wherry-bench-{self.name}-{os.getpid()}")  # two benches at once are apart
        self.daemon = None
        self.prepare(build)

    def prepare(self, build):
        pass

    def cli(self, *args):
        return self.client + list(args)

    def compose(self, *args):
        """The command line of compose on this engine, and its environment; None where there is none."""
        binary = os.environ.get("DOCKER_COMPOSE") or shutil.which("docker-compose")
        return binary and ([binary, *args], {**os.environ, "DOCKER_HOST": f"unix://{self.sock}"})

    def output(self, *args):
        return subprocess.run(self.cli(*args), stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL, check=True, text=True).stdout

    def call(self, *args):
        """Runs the client inside the engine's control group; raises with its words when it fails."""
        done = run(self.cli(*args), preexec_fn=self.group.enter)
        if done.returncode != 0:
            raise RuntimeError(f"{self.name} {' '.join(args)}: {done.stderr.decode().strip()}")

    def connection(self):
        return Connection(self.sock)

    def api(self, method, path, body=None, connection=None):
        c = connection or self.connection()
        c.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        answer = c.getresponse()
        data = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{self.name} {method} {path}: {answer.status} {data.decode(errors='replace').strip()}")
        return data

    def start(self):
        """Returns the seconds to the first answer."""
        begin = time.monotonic()
        self.daemon = subprocess.Popen(self.command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, preexec_fn=self.group.enter)
        while True:
            try:
                self.api("GET", "/_ping")
                return time.monotonic() - begin
            except (OSError, RuntimeError, http.client.HTTPException):
                if self.daemon.poll() is not None or time.monotonic() - begin > 60:
                    raise RuntimeError(f"{self.command[0]} does not answer: see {self.log.name}")
                time.sleep(0.002)

    def end(self):
        if self.daemon and self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM)
            try:
                self.daemon.wait(60)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()

    def close(self):
        """Everything that was made for this engine goes."""
        if self.daemon and self.daemon.poll() is None:
            names = subprocess.run(self.cli("ps", "-aq"), stdout=subprocess.PIPE, text=True).stdout.split()
            if names:
                run(self.cli("rm", "-f", *names))
        self.end()
        self.purge()
        self.group.remove()
        self.log.close()

    def purge(self):
        pass

    def memory_mb(self):
        """Proportional memory of the daemon and its helpers."""
        total = 0
        for pid in self.group.engine_pids():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
            except (OSError, AttributeError):
                pass
        return total / 1024


class Wherry(Engine):
    name = "wherry"
    needs = None

    def prepare(self, build):
        with open(f"{self.dir}/daemon.json", "w") as f:
            f.write("{}")
        self.client = [f"{build}/src/wherry/wherry", "-H", f"unix://{self.sock}"]
        base = [f"{build}/src/wherryd/wherryd", "--data-root", f"{self.dir}/data", "--exec-root", f"{self.dir}/run",
                "--bridge", f"wtw{os.getpid()}", "--config-file", f"{self.dir}/daemon.json"]
        self.command = base + ["-H", f"unix://{self.sock}", "--cgroup-parent", f"{self.group.name}/containers"]
        self.purger = base + ["--purge-network"]

    def compose(self, *args):
        return self.cli("compose", *args), dict(os.environ)

    def purge(self):
        run(self.purger)


class Docker(Engine):
    name = "docker.io"
    needs = "dockerd"

    def prepare(self, build):
        self.bridge = f"wtd{os.getpid()}"
        run(["ip", "link", "add", self.bridge, "type", "bridge"])
        run(["ip", "addr", "add", "172.31.254.1/24", "dev", self.bridge])
        self.client = ["docker", "-H", f"unix://{self.sock}"]
        self.command = ["dockerd", "-H", f"unix://{self.sock}", "--data-root", f"{self.dir}/data", "--exec-root", f"{self.dir}/run",
                        "-p", f"{self.dir}/pid", "--bridge", self.bridge, "--cgroup-parent", f"/{self.group.name}/containers"]

    def purge(self):
        run(["ip", "link", "del", self.bridge])


class Podman(Engine):
    """Its API is served by `podman system service`; its command line needs no daemon, but here goes through that."""
    name = "podman"
    needs = "podman"

    def prepare(self, build):
        self.client = ["podman", "--root", f"{self.dir}/data", "--runroot", f"{self.dir}/run", "--tmpdir", f"{self.dir}/tmp",
                       "--cgroup-manager", "cgroupfs"]
        self.command = self.client + ["system", "service", "--time", "0", f"unix://{self.sock}"]


ENGINES = (Wherry, Docker, Podman)


class Peer:
    """Another host on a network of its own with this one: a namespace at the other end of a veth pair."""
    here, there = "10.231.77.1", "10.231.77.2"

    def __init__(self):
        self.name = f"wherry-bench-{os.getpid()}"
        self.link = f"wtb{os.getpid() % 100000}"
        for args in (["netns", "add", self.name], ["link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.name],
                     ["addr", "add", f"{self.here}/24", "dev", self.link], ["link", "set", self.link, "up"],
                     ["-n", self.name, "addr", "add", f"{self.there}/24", "dev", "eth0"], ["-n", self.name, "link", "set", "eth0", "up"]):
            subprocess.run(["ip"] + args, check=True)

    def command(self, *args):
        return ["ip", "netns", "exec", self.name, *args]

    def close(self):
        run(["ip", "link", "del", self.link])
        run(["ip", "netns", "del", self.name])


def small_image(top, build):
    root = os.path.join(top, "root")
    for d in ("bin", "etc", "tmp", "proc", "sys", "dev"):
        os.makedirs(os.path.join(root, d))
    shutil.copy("/bin/busybox", os.path.join(root, "bin/busybox"))
    for name in ("sh", "true", "false", "sleep", "cat", "dd", "yes", "head", "httpd"):
        os.symlink("busybox", os.path.join(root, "bin", name))
    for name in ("net_load", "log_load"):
        shutil.copy(f"{build}/tests/bench/{name}", os.path.join(root, "bin", name))
    tar = os.path.join(top, "image.tar")
    subprocess.run(["tar", "-C", root, "-cf", tar, "."], check=True)
    return tar
