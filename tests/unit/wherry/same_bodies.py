#!/usr/bin/env python3
"""same_bodies.py WHERRY - the engine is sent the same container by wherry and by the docker CLI, flag by flag.

Needs the docker CLI (28); without it the test is skipped. No engine and no root: both talk to the fake engine of cli.py.
"""
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading

import cli  # takes the path of wherry from sys.argv

CASES = r"""
img
-d img a b
-i img
-t img
-a stdin -a stderr img
--name n --rm -d img
-p 80 -p 81:81/udp -p 127.0.0.1:8000-8002:80-82 -p [::1]:9:9 -P img
--expose 5 --expose 6-7/udp img
-p target=80,published=8080,protocol=udp img
-v /anon -v ./rel:/r --tmpfs /t:size=1m --tmpfs /u img
--mount type=bind,src=/a,dst=/b,ro,bind-propagation=rshared --mount src=v,dst=/c,volume-opt=a=b,volume-driver=x img
--mount type=tmpfs,dst=/t,tmpfs-size=10m,tmpfs-mode=0700 img
--mount type=bind,src=/a,dst=/b,bind-recursive=disabled img
--mount type=volume,dst=/b,volume-subpath=s,source=v,volume-nocopy img
-e A=b -e FOO -e NOPE --env-file {dir}/env img
-l a=b -l c --label-file {dir}/labels img
--network n --network-alias a --ip 10.0.0.1 img
--network n --network name=m,alias=q,ip=1.2.3.4 img
--network host img
--network none img
--network container:abc img
--network bridge --mac-address 02:00:00:00:00:01 img
--link a:b --link c img
--network n --link a:b img
-h hh --domainname dd -w /w -u 1:2 --entrypoint /e img
--entrypoint= img
--restart always img
--restart on-failure:3 img
--restart unless-stopped img
--cap-add CAP_NET_ADMIN --cap-drop ALL --privileged img
--device /dev/a --device /dev/b:/dev/c:r --device-cgroup-rule "c 1:3 rwm" img
-m 64m --memory-swap 128m --memory-reservation 32m --memory-swappiness 0 --cpus 1.25 img
--cpuset-cpus 0-1 --cpuset-mems 0 -c 512 --cpu-period 1000 --cpu-quota 2000 --pids-limit 5 --blkio-weight 100 img
--memory-swap -1 -m 1g --oom-score-adj 5 --oom-kill-disable img
--ulimit nofile=10:20 --ulimit core=0 img
--read-only --init --add-host a:1.2.3.4 --add-host b=[::1] img
--dns 1.1.1.1 --dns-search x --dns-option ndots:2 img
--stop-signal INT --stop-timeout 7 img
--health-cmd "a b" --health-interval 5s --health-retries 3 --health-start-period 1m --health-timeout 2s img
--health-start-interval 1s img
--no-healthcheck img
--log-driver json-file --log-opt max-size=1m img
--log-driver none img
--platform linux/amd64 img
--shm-size 128m --ipc host --pid host --uts host --userns host --cgroupns private img
--security-opt no-new-privileges --security-opt apparmor=unconfined --security-opt seccomp={dir}/seccomp.json img
--security-opt systempaths=unconfined --security-opt seccomp=unconfined img
--sysctl net.a=1 --sysctl kernel.msgmax=2 img
--volumes-from a --volumes-from b:ro --group-add video --group-add 5 img
--cgroup-parent /x --runtime crun --storage-opt size=1 --annotation a=b img
--volume-driver local -v named:/y img
"""


def without_defaults(v):
    """The API does not tell an absent member from an empty one, but for lists' elements."""
    if isinstance(v, dict):
        kept = {k: without_defaults(x) for k, x in v.items()}
        return {k: x for k, x in kept.items() if x not in (None, {}, [], "", 0, False)}
    return [without_defaults(x) for x in v] if isinstance(v, list) else v


def normalise(body):
    doc = without_defaults(body)
    host = doc.get("HostConfig", {})
    if host.get("ConsoleSize") == [0, 0]:  # docker's way to say that there is no terminal
        del host["ConsoleSize"]
    if host.get("MemorySwappiness") == -1:
        del host["MemorySwappiness"]
    host.get("Ulimits", []).sort(key=str)
    doc.get("Env", []).sort()  # docker's order of different names is another one each time
    return doc


def ping(handler):
    handler.send_response(200)
    for name, value in (("Api-Version", "1.45"), ("OSType", "linux"), ("Content-Length", "2")):
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command == "GET":
        handler.wfile.write(b"OK")


def main():
    docker = shutil.which("docker")
    if not docker or b"version 28" not in subprocess.run([docker, "--version"], capture_output=True).stdout:
        print("skipped: no docker CLI 28")
        return 77
    cli.Handler.do_HEAD = cli.Handler.handle_any
    with tempfile.TemporaryDirectory(prefix="wherry-bodies-") as top:
        server = cli.Server(top + "/sock", cli.Handler)
        server.seen = []
        server.routes = {("EARLY", "/_ping"): ping}
        for prefix in ("", "/v1.45"):
            server.routes["POST", prefix + "/containers/create"] = (201, {"Id": "c1", "Warnings": []})
            server.routes["POST", prefix + "/containers/c1/start"] = (204, b"")
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        for name, text in (("env", "#c\nA=1\nFOO\n B=2\n"), ("labels", "x=y\nz\n"),
                           ("seccomp.json", '{"defaultAction":"SCMP_ACT_ALLOW"}')):
            with open(os.path.join(top, name), "w", encoding="utf-8") as f:
                f.write(text)
        env = {**os.environ, "DOCKER_HOST": "unix://" + top + "/sock", "WHERRY_HOST": "unix://" + top + "/sock",
               "DOCKER_CONFIG": top, "FOO": "bar"}

        def sent(program, line):
            server.seen.clear()
            words = shlex.split(line.replace("{dir}", top))
            p = subprocess.run([program, "run" if "-d" in words else "create", *words], env=env, cwd=top,
                               capture_output=True, stdin=subprocess.DEVNULL, timeout=30)
            for _, path, _, body in server.seen:
                if path.split("?")[0].endswith("/containers/create"):
                    return path.split("create")[1], normalise(json.loads(body))
            return p.stderr.decode(), None

        failures = 0
        for line in CASES.strip().splitlines():
            theirs, ours = sent(docker, line), sent(cli.WHERRY, line)
            if theirs != ours or ours[1] is None:
                failures += 1
                print(f"{line}\n  docker: {json.dumps(theirs)}\n  wherry: {json.dumps(ours)}")
        server.shutdown()
        server.server_close()
        print(f"{failures} of {len(CASES.strip().splitlines())} differ")
        return failures > 0


if __name__ == "__main__":
    sys.exit(main())
