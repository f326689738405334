"""The figures of compose: six services that depend on each other, from nothing to the last one's answer, again, and down; and
reading a long file.

docker.io and podman are asked by docker compose: DOCKER_COMPOSE names the binary, else the machine's docker-compose is taken.
"""
import http.client, json, os, subprocess, tempfile, time

from figures import IMAGE, figure

PORT = 19474
SERVER = json.dumps(["sh", "-c", "echo yes >/tmp/index.html; exec httpd -f -p 80 -h /tmp"])
SLEEPER = json.dumps(["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done"])
FILE = f"""
services:
  db: {{image: {IMAGE}, command: {SLEEPER}, volumes: ["data:/data"]}}
  cache: {{image: {IMAGE}, command: {SLEEPER}}}
  queue: {{image: {IMAGE}, command: {SLEEPER}}}
  api: {{image: {IMAGE}, command: {SLEEPER}, depends_on: [db, cache, queue]}}
  worker: {{image: {IMAGE}, command: {SLEEPER}, depends_on: [db, queue]}}
  web: {{image: {IMAGE}, command: {SERVER}, stop_signal: SIGKILL, depends_on: [api, worker], ports: ["127.0.0.1:{PORT}:80"]}}
volumes: {{data: }}
"""


def compose(e, directory, *args):
    argv, env = e.compose("-f", f"{directory}/compose.yaml", "-p", "six", *args)
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=e.group.enter)
    if done.returncode != 0:
        raise RuntimeError(f"{e.name} compose {' '.join(args)}: {done.stdout.decode().strip()}")


def answer():
    """Until the last service answers."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
            c.request("GET", "/index.html")
            if c.getresponse().read() == b"yes\n":
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.002)
    raise RuntimeError("the last service does not answer")


@figure(7, f_up="s", f_up_cpu="s", f_up_noop="s", f_down="s")
def six_services(e):
    if not e.compose():
        raise RuntimeError("no docker compose")
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "compose.yaml"), "w") as f:
            f.write(FILE)
        cpu, begin = e.group.cpu_ms(), time.monotonic()
        try:
            compose(e, directory, "up", "-d")
            answer()
            out = {"f_up": time.monotonic() - begin, "f_up_cpu": (e.group.cpu_ms() - cpu) / 1000}
            begin = time.monotonic()
            compose(e, directory, "up", "-d")
            out["f_up_noop"] = time.monotonic() - begin
        finally:
            begin = time.monotonic()
            compose(e, directory, "down", "-v")
            down = time.monotonic() - begin
        return {**out, "f_down": down}


def long_file():
    """2,000 lines: 222 services of nine lines, with variables and an alias in each."""
    service = """
  s{0}:
    image: ${{REGISTRY:-registry.example}}/app:{0}
    restart: unless-stopped
    environment: ["A=1", "B=${{X:-b}}"]
    ports: ["{1}:80"]
    volumes: ["./data{0}:/data"]
    labels:
      app.number: "{0}"
    logging: *logging"""
    head = "x-logging: &logging {options: {max-size: 10m}}\nservices:"
    return head + "".join(service.format(i, 10000 + i) for i in range(222)) + "\n"


@figure(15, f_config2k="ms")
def config_of_a_long_file(e):
    if not e.compose():
        raise RuntimeError("no docker compose")
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "compose.yaml"), "w") as f:
            f.write(long_file())
        begin = time.monotonic()
        compose(e, directory, "config")
        return {"f_config2k": (time.monotonic() - begin) * 1000}
