"""What bench measures. A figure is a function of an engine that gives {name: value}; bench calls it for each engine in turns.

The names are those of the performance notes: a run, b one call, c memory and start, d images (figures_images.py), g network, h logs, i many at once. Lower is better
unless the unit is a rate.
"""
import json, subprocess, threading, time

import engines

IMAGE = "wherry-bench"
FIGURES = []


def figure(rounds, **units):
    """rounds: how often it is measured; units: {name of a value: its unit}."""
    def add(f):
        f.rounds, f.units = rounds, units
        FIGURES.append(f)
        return f
    return add


def timed(engine, name, *args):
    cpu, begin = engine.group.cpu_ms(), time.monotonic()
    engine.call(*args)
    return {name: (time.monotonic() - begin) * 1000, name + "_cpu": engine.group.cpu_ms() - cpu}


@figure(15, a_run_bridge="ms", a_run_bridge_cpu="ms")
def run_on_the_default_network(e):
    return timed(e, "a_run_bridge", "run", "--rm", IMAGE, "true")


@figure(15, a_run_none="ms", a_run_none_cpu="ms")
def run_without_network(e):
    return timed(e, "a_run_none", "run", "--rm", "--network", "none", IMAGE, "true")


BODY = {"Image": IMAGE, "Cmd": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done"]}


def ms(f, *args):
    begin = time.monotonic()
    result = f(*args)
    return (time.monotonic() - begin) * 1000, result


def exec_true(e, c, name):
    made = json.loads(e.api("POST", f"/containers/{name}/exec", {"Cmd": ["true"], "AttachStdout": True}, c))
    e.api("POST", f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})  # to the end of its output


@figure(10, b_api_ping="ms", b_api_list="ms", b_api_create="ms", b_api_start="ms", b_api_exec="ms", b_api_inspect="ms", b_api_stop="ms",
        b_api_delete="ms")
def one_call_of_each(e):
    c = e.connection()
    out = {}
    out["b_api_ping"], _ = ms(e.api, "GET", "/_ping", None, c)
    out["b_api_create"], made = ms(e.api, "POST", "/containers/create", BODY, c)
    name = json.loads(made)["Id"]
    out["b_api_start"], _ = ms(e.api, "POST", f"/containers/{name}/start", None, c)
    out["b_api_list"], _ = ms(e.api, "GET", "/containers/json", None, c)
    out["b_api_inspect"], _ = ms(e.api, "GET", f"/containers/{name}/json", None, c)
    out["b_api_exec"], _ = ms(exec_true, e, c, name)
    out["b_api_stop"], _ = ms(e.api, "POST", f"/containers/{name}/stop", None, c)
    out["b_api_delete"], _ = ms(e.api, "DELETE", f"/containers/{name}", None, c)
    return out


@figure(15, b_cli_version="ms", b_cli_ps="ms", b_cli_create="ms", b_cli_start="ms", b_cli_exec="ms", b_cli_stop="ms", b_cli_rm="ms")
def one_command_of_each(e):
    """The engine's own client, from its start to its end."""
    name = "cli-bench"
    commands = {"version": ["version"], "ps": ["ps"],
                "create": ["create", "--name", name, IMAGE, "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done"],
                "start": ["start", name], "exec": ["exec", name, "true"], "stop": ["stop", name], "rm": ["rm", name]}
    return {f"b_cli_{word}": ms(e.call, *words)[0] for word, words in commands.items()}


@figure(1, c_idle_pss="MB", c_idle_cpu="ms/s", c_pss_10="MB")
def memory_idle_and_of_ten_containers(e):
    """c_pss_10: what the engine's own processes need more for each of ten containers with a published port."""
    time.sleep(1)
    before, cpu, begin = e.memory_mb(), e.group.cpu_ms(), time.monotonic()
    time.sleep(5)
    out = {"c_idle_pss": before, "c_idle_cpu": (e.group.cpu_ms() - cpu) / (time.monotonic() - begin)}
    names = [f"ten-{i}" for i in range(10)]
    for name in names:
        e.call("run", "-d", "--name", name, "-p", "80", IMAGE, "sleep", "1000")
    time.sleep(1)
    out["c_pss_10"] = (e.memory_mb() - before) / 10
    e.call("rm", "-f", *names)
    return out


@figure(3, c_ready_10="ms")
def start_of_the_daemon_with_ten_containers(e):
    for i in range(10):
        e.api("POST", f"/containers/create?name=known-{i}", BODY)
    e.end()
    seconds = e.start()
    for i in range(10):
        e.api("DELETE", f"/containers/known-{i}")
    return {"c_ready_10": seconds * 1000}


def by_four(f, names):
    """Four clients at once work the names off; the first error is raised."""
    names, errors, lock = list(names), [], threading.Lock()

    def client():
        while True:
            with lock:
                if not names or errors:
                    return
                name = names.pop()
            try:
                f(name)
            except (OSError, RuntimeError) as reason:
                errors.append(reason)
    clients = [threading.Thread(target=client) for _ in range(4)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    if errors:
        raise errors[0]


@figure(1, i_start="ms", i_start_cpu="ms", i_remove="ms")
def a_hundred_by_four_clients(e):
    names = [f"many-{i}" for i in range(100)]

    def start(name):
        e.api("POST", f"/containers/create?name={name}", {"Image": IMAGE, "Cmd": ["sleep", "1000"]})
        e.api("POST", f"/containers/{name}/start")
    cpu, begin = e.group.cpu_ms(), time.monotonic()
    by_four(start, names)
    out = {"i_start": (time.monotonic() - begin) * 10, "i_start_cpu": (e.group.cpu_ms() - cpu) / 100}
    running = len(json.loads(e.api("GET", "/containers/json")))
    if running != len(names):
        raise RuntimeError(f"{e.name}: {running} of {len(names)} run")
    begin = time.monotonic()
    by_four(lambda name: e.api("DELETE", f"/containers/{name}?force=1"), names)
    out["i_remove"] = (time.monotonic() - begin) * 10
    return out


@figure(1, i_crash_cpu="% of a core", i_crash_each="ms", i_crash_restarts="n")
def crash_loops(e):
    """24 containers that end at once under restart policy `always`, watched for 10 seconds."""
    names = [f"crash-{i}" for i in range(24)]
    for name in names:
        e.api("POST", f"/containers/create?name={name}", {"Image": IMAGE, "Cmd": ["false"], "HostConfig": {"RestartPolicy": {"Name": "always"}}})
    cpu, begin = e.group.cpu_ms(), time.monotonic()
    for name in names:
        e.api("POST", f"/containers/{name}/start")
    time.sleep(10)
    used, seconds = e.group.cpu_ms() - cpu, time.monotonic() - begin
    restarts = sum(json.loads(e.api("GET", f"/containers/{name}/json"))["RestartCount"] for name in names)
    e.call("rm", "-f", *names)
    return {"i_crash_cpu": used / seconds / 10, "i_crash_each": used / (restarts + len(names)), "i_crash_restarts": restarts / len(names)}


PORT = "19473"


@figure(3, g_tcp_lan="Gb/s", g_rtt_lan="us", g_conn_lan="us", g_tcp_loop="Gb/s", g_rtt_loop="us", g_conn_loop="us", g_tcp_c2c="Gb/s", g_rtt_c2c="us")
def published_port(e):
    """TCP to a published port from another host and from this one's loopback, and between two containers."""
    peer = engines.Peer()
    try:
        e.call("run", "-d", "--name", "server", "-p", f"{PORT}:9000", IMAGE, "net_load", "serve", "9000")
        address = e.output("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "server").strip()

        def load(prefix, *args):
            for _ in range(50):  # it listens soon
                done = subprocess.run(prefix + list(args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                if done.returncode == 0:
                    return float(done.stdout)
                time.sleep(0.1)
            raise RuntimeError(f"{e.name}: {done.stderr.strip()}")
        out = {}
        inside = e.cli("run", "--rm", IMAGE, "net_load")
        for place, prefix, host, port in (("lan", peer.command(e.net_load), peer.here, PORT), ("loop", [e.net_load], "127.0.0.1", PORT), ("c2c", inside, address, "9000")):
            out["g_tcp_" + place] = load(prefix, "send", host, port, "1000")
            out["g_rtt_" + place] = load(prefix, "rtt", host, port, "2000")
            if place != "c2c":
                out["g_conn_" + place] = load(prefix, "connect", host, port, "1000")
        return out
    finally:
        e.call("rm", "-f", "server")
        peer.close()


@figure(3, g_dns_qps="q/s", g_dns_p50="us")
def names(e):
    """A neighbour's name asked of the embedded DNS server: 32 questions at once, and one after the other."""
    e.call("network", "create", "names")
    try:
        e.call("run", "-d", "--name", "peer", "--network", "names", IMAGE, "sleep", "1000")
        ask = ["run", "--rm", "--network", "names", IMAGE, "net_load", "dns", "peer"]
        return {"g_dns_qps": float(e.output(*ask, "100000", "32")), "g_dns_p50": float(e.output(*ask, "5000", "1"))}
    finally:
        e.call("rm", "-f", "peer")
        e.call("network", "rm", "names")
def logged_mb_s(e, mb, *line):
    """From the start of the container to its end, when everything it said is in its log."""
    name = "logged"
    e.call("create", "--name", name, "--log-opt", "max-size=2g", IMAGE, "log_load", str(mb), *line)
    begin = time.monotonic()
    e.call("start", name)
    e.call("wait", name)
    return name, mb / (time.monotonic() - begin)


@figure(3, h_write="MB/s", h_write_line="MB/s", h_read="MB/s", h_read_cpu="s for 100 MB")
def logs_to_disk_and_back(e):
    """More is better: what a container says in blocks, or line by line, until it is logged; then `logs` to /dev/null."""
    name, line = logged_mb_s(e, 100, "line")
    e.call("rm", name)
    name, block = logged_mb_s(e, 300)
    cpu, begin = e.group.cpu_ms(), time.monotonic()
    subprocess.run(e.cli("logs", name), stdout=subprocess.DEVNULL, check=True)
    read = 300 / (time.monotonic() - begin)
    used = (e.group.cpu_ms() - cpu) / 3000
    e.call("rm", name)
    return {"h_write": block, "h_write_line": line, "h_read": read, "h_read_cpu": used}


@figure(1, h_follow_500="MB")
def five_hundred_idle_followers(e):
    """What the engine's processes need more for 500 clients that follow the log of a container that says nothing."""
    name = "quiet"
    e.call("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    before, streams = e.memory_mb(), []
    for _ in range(500):
        c = e.connection()
        c.request("GET", f"/containers/{name}/logs?follow=1&stdout=1&stderr=1")
        streams.append((c, c.getresponse()))
    time.sleep(1)
    used = e.memory_mb() - before
    for c, _ in streams:
        c.close()
    e.call("rm", "-f", name)
    return {"h_follow_500": used}
