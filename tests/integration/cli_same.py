#!/usr/bin/env python3
"""cli_same.py WHERRY DOCKER HOST [FILTER] - runs command lines with both programs against one engine and compares what they
print and how they end.

Words that must differ are made equal first: the program's name, and versions. A line that differs is tried again: times
pass, and other containers come and go. Objects have names with same- in front, and are removed.
"""
import os
import re
import subprocess
import sys
import tempfile

WHERRY, DOCKER, HOST = sys.argv[1:4]
ONLY = sys.argv[4] if len(sys.argv) > 4 else ""
CONFIG = tempfile.mkdtemp(prefix="same.")
ENV = dict(os.environ, DOCKER_HOST=HOST, DOCKER_CONFIG=CONFIG, LC_ALL="C.UTF-8")
ENV.pop("WHERRY_HOST", None)
MINE = "--filter name=same-"


def run(program, line, stdin=b""):
    command = line.replace("PROGRAM", program) if "PROGRAM" in line else f"{program} {line}"
    done = subprocess.run(["bash", "-c", command], input=stdin, capture_output=True, env=ENV, timeout=120)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def equalised(text):
    text = text.replace("Wherry", "Docker").replace("wherry", "docker").replace(WHERRY, "docker").replace(DOCKER, "docker")
    text = text.replace("\nSRun", "\nRun").replace("\nexit status 1\n", "\n")  # slips of docker
    text = re.sub(r"      --use-api-socket .*\n +required auth\n", "", text)  # refused, so not in our help
    text = re.sub(r"Did you mean 'docker [a-z ]+'\?\n", "", text)
    # the texts of --format point to docker's pages in both
    return re.sub(r"\b[0-9a-f]{64}\b|HOSTNAME=\w+", "<ID>", text)


def result(program, line, stdin):
    code, out, err = run(program, line, stdin)
    return code, equalised(out), equalised(err)


def lines():
    """The table."""
    yield from """
ps -a MINE
ps MINE
ps -aq MINE
ps -aq --no-trunc MINE
ps -a --no-trunc MINE
ps -as MINE
ps -a -n 1 MINE
ps -l MINE
ps -lq
ps -n 0
ps -a --filter name=same-a --format table
ps -a MINE --format json
ps -a MINE --format '{{json .}}'
ps -a MINE --format raw
ps -a MINE --format 'table {{.ID}}\\t{{.Names}}\\t{{.Label "a"}}\\t{{.Mounts}}\\t{{.Networks}}\\t{{.LocalVolumes}}'
ps -a MINE --format 'table {{.Names}}\\t{{.Size}}'
ps -a MINE --format 'TABLE {{.Names}}'
ps -a MINE --format '{{.Names}}: {{.Ports}} {{.Labels}} {{.State}} {{.Command}} {{.Image}} {{.RunningFor}} {{.CreatedAt}}'
ps -a MINE --format '{{.Foo}}'
ps -a MINE --format '{{.ID'
ps -aq MINE --format '{{.Names}}'
ps -a --filter status=exited MINE
ps -a --filter label=a=b MINE
ps -a --filter foo=bar
ps -a --filter status=foo
ps -a --filter x
ps --foo
ps -Z
ps x
ps -n x
ps -n
container ls -a MINE
container list -aq MINE
container ps -q MINE
images same-none
images bb
images bb:latest -q
images --digests bb
images --no-trunc bb
images --format json bb
images --format raw bb
images --format '{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}} {{.CreatedSince}} {{.CreatedAt}} {{.Digest}} {{.Containers}} {{.SharedSize}} {{.VirtualSize}} {{.UniqueSize}}' bb
images --format 'table {{.ID}}' bb
images --format '{{.Foo}}' bb
images --filter dangling=true
images --filter dangling=x
images --filter foo=x
images --filter since=nope
images a b
image ls bb
image list -q bb
inspect same-a
inspect same-a same-none bb
inspect same-none
inspect -s -f '{{.SizeRw}} {{.SizeRootFs}}' same-a
inspect -f '{{.State.Status}} {{.Config.Image}} {{.Name}} {{.ID}} {{.HostConfig.NetworkMode}}' same-a same-done
inspect -f '{{json .Config.Env}} {{json .Mounts}} {{json .State.Health}}' same-a
inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{$v.IPAddress}}{{end}}' same-a
inspect -f '{{.Config.ExposedPorts}} {{.HostConfig.PortBindings}} {{.NetworkSettings.Ports}} {{.Config.Volumes}} {{.Args}} {{.HostConfig.RestartPolicy}} {{.HostConfig.LogConfig}}' same-a
inspect -f '{{if .State.Health}}x{{else}}y{{end}} {{.State.Health}} {{.HostConfig.Init}} {{.HostConfig.PidsLimit}}' same-a
inspect -f '{{.Foo}}' same-a
inspect -f '{{foo}}' same-a
inspect -f '{{.Foo}}' same-none
inspect -f json same-a
inspect --type container bb
inspect --type image bb -f '{{.RepoTags}} {{.Os}} {{.Config.Cmd}}'
inspect --type foo bb
inspect --type network bridge -f '{{.Name}} {{.IPAM.Driver}} {{.Options}}'
inspect --type volume same-v
inspect
inspect ''
container inspect same-none
container inspect same-a -f '{{.Name}}'
image inspect bb
image inspect nope
network inspect bridge -f '{{.Name}} {{.Driver}} {{json .IPAM.Config}}'
network inspect nope
network inspect -v nope
volume inspect same-v -f '{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}} {{.Options}} {{.Mountpoint}}'
volume inspect nope
logs same-a
logs --tail 1 same-a
logs -n 0 same-a
logs -n x same-a
logs --since 1h --until 1s same-a
logs --since foo same-a
logs same-none
logs --details same-a
logs
logs a b
container logs --tail=1 same-a
port same-a
port same-a 80
port same-a 80/tcp
port same-a 81
port same-a x
port same-none
history bb
history --no-trunc bb
history -q bb
history --format json bb
history -H=false bb
history --format 'table {{.ID}}\\t{{.CreatedBy}}' bb
history nope
network ls
network ls -q
network ls --no-trunc
network ls --format json
network ls --format raw
network ls --format '{{.Name}} {{.Driver}} {{.Scope}} {{.IPv4}} {{.IPv6}} {{.Internal}} {{.Labels}} {{.CreatedAt}}'
network ls --filter driver=bridge
network ls --filter foo=x
network ls --filter name=same
network rm nope
network rm bridge
network rm -f nope
network create
network create bridge
network create --driver nope same-x
network create --subnet nope same-x
network create --gateway 10.9.0.1 same-x
network connect nope same-a
network connect bridge same-none
network disconnect bridge same-none
network disconnect nope same-a
network foo
network --foo
network
volume ls --filter name=same
volume ls -q --filter name=same
volume ls --format json --filter name=same
volume ls --format '{{.Name}} {{.Driver}} {{.Mountpoint}} {{.Labels}} {{.Label "k"}}' --filter name=same
volume ls --format raw --filter name=same
volume ls --filter foo=x
volume rm nope
volume rm -f nope
volume rm same-v
volume create -d nope same-x
volume create a b
volume create --label =x same-x
events --since 1s --until 0s --filter container=nope
events --since foo
events --until 1 --format '{{.Foo}}'
events --until 1 --format '{{foo}}'
events --filter foo=x --until 1
events --filter x --until 1
system events --since 1s --until 0s --filter container=nope
system df --format '{{.Type}}'
system df --format 'table {{.Type}}\\t{{.TotalCount}}'
system df --format '{{.Foo}}'
system df x
system df -v --format '{{.Nope}}'
system df -v --format '{{'
system df -v --format '{{range .Images}}{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}} {{.CreatedSince}};{{end}}'
system df -v --format '{{range .Containers}}{{if eq .Names "same-a"}}{{.ID}} {{.Command}} {{.Size}} {{.LocalVolumes}} {{.Status}} {{.Mounts}} {{.Labels}}{{end}}{{end}}'
system df -v --format '{{range .Volumes}}{{if eq .Name "same-v"}}{{json .}}{{end}}{{end}}'
system df -v --format '{{range .BuildCache}}{{.ID}} {{.CacheType}} {{.Parent}} {{.Size}} {{.LastUsedAt}} {{.InUse}};{{end}}'
version -f '{{.Server.Os}} {{.Server.APIVersion}}'
version -f '{{.Foo}}'
version -f '{{.Server.Experimental}} {{.Client.APIVersion}}'
version -f '{{foo}}'
version x
info -f '{{.OSType}} {{.NCPU}} {{.Name}} {{.Swarm.LocalNodeState}}'
info -f '{{.Foo}}'
info -f '{{.ServerErrors}} {{.DefaultAddressPools}} {{.ClientInfo.Debug}}'
info -f '{{foo}}'
info x
system info -f '{{json .Swarm.LocalNodeState}}'
rm same-none
rm same-a
rm -f same-none
rm
rm -l same-a
rmi nope
rmi -f nope
rmi bb@x
rmi
stop same-none
stop same-done
stop -t x same-a
stop --signal NOPE same-a
kill same-none
kill same-done
kill -s NOPE same-a
kill
restart same-none
pause same-none
pause same-done
unpause same-a
wait same-none
wait same-done
wait
diff same-done
diff same-none
diff
cp same-none:/x .
cp same-a:/nope .
cp same-a:/etc/passwd -
cp a b
cp same-a:/x same-b:/y
cp
export same-none
export -o /nope/x same-a
commit same-none
commit -c FOO same-done
commit
container diff same-none
rename same-a
rename same-a same-done
rename same-none x
rename same-a 'x y'
rename same-a ''
start same-none
start same-a
start -a same-none
start -a same-done
start -a same-a same-done
start -ai
start --checkpoint x same-done
attach same-none
attach same-done
attach
exec same-none true
exec same-done true
exec same-a
exec same-a true
exec same-a false
exec same-a sh -c 'exit 7'
exec same-a sh -c 'echo out; echo err >&2'
exec same-a nosuchcommand
exec same-a /etc
exec -e A=B -e C same-a sh -c 'echo $A $C'
exec -w /nope same-a pwd
exec -w /tmp same-a pwd
exec -u 1000:1000 same-a id -u
exec -u nope same-a id
exec --env-file /nope same-a true
exec --env-file ENVFILE same-a env
exec -d same-a true
exec -it same-a true
exec -t same-a tty
exec --detach-keys foo same-a true
exec --privileged same-a true
exec -i same-a cat
create --name same-a bb
create --name 'x y' bb
create nope-image-same:1
create --pull never nope-same:1
create --pull x bb
create
create -a foo bb
create --rm --restart always bb
run --rm bb true
run --rm bb false
run --rm bb sh -c 'exit 3'
run --rm bb sh -c 'kill -9 $$'
run --rm bb sh -c 'echo out; echo err >&2'
run --rm bb nosuchcommand
run --rm bb /etc
run --rm -i bb cat
run --rm -it bb true
run --rm -t bb tty
run --rm -e A=B -e C bb sh -c 'echo $A $C'
run --rm -e '' bb
run --rm -e =x bb
run --rm --env-file /nope bb
run --rm --env-file ENVFILE bb env
run --rm --label-file /nope bb
run --rm -l =x bb
run --rm -l '' bb
run --rm -w /tmp bb pwd
run --rm -w nope bb pwd
run --rm -u nope bb id
run --rm -h same.host bb hostname
run --rm --entrypoint '' bb echo x
run --rm --entrypoint echo bb x
run -d --name same-a bb
run -d -a stdout bb
run --rm -d --detach-keys foo bb
run --cpus x bb
run --cpus -1 bb
run -m x bb
run -m 1 bb
run --memory-swap x bb
run --blkio-weight x bb
run --blkio-weight 70000 bb
run --blkio-weight 5 bb
run --health-interval x bb
run --health-interval 1 bb
run --no-healthcheck --health-cmd x bb
run --pids-limit x bb
run --ulimit foo bb
run --ulimit nofile=1:x bb
run --ulimit nofile=3:2 bb
run --ulimit foo=1 bb
run --restart foo bb
run --restart on-failure:x bb
run --restart always:3 bb
run --restart :3 bb
run --network nope bb
run --network name=bridge,foo=x bb
run --network container:nope bb
run --network host -p 80:80 --rm bb true
run -p x bb
run -p 80:x bb
run -p 99999:80 bb
run -p 80-81:80-82 bb
run -p 1.2.3:80:80 bb
run -p 80:80/foo bb
run -p :80 --rm bb true
run --expose x bb
run --expose 80:80 bb
run --expose 80/foo bb
run -v /a:/b:/c:/d bb
run -v :/b bb
run -v /a: bb
run -v a:b bb
run -v /: bb
run --mount foo bb
run --mount type=foo,dst=/a bb
run --mount type=bind,dst=/a bb
run --mount type=bind,src=/nope,dst=/a bb
run --mount type=volume bb
run --mount type=bind,src=/,dst=/a,foo=x bb
run --mount type=tmpfs,dst=/a,src=x bb
run --mount type=volume,dst=/a,tmpfs-size=1 bb
run --mount type=tmpfs,dst=/a,tmpfs-size=x bb
run --tmpfs x bb
run --device x bb
run --device /nope bb
run --device /dev/null:/dev/x:foo bb
run --device-cgroup-rule foo bb
run --device-read-bps x bb
run --device-read-bps /dev/null:x bb
run --device-read-iops /dev/null:x bb
run --blkio-weight-device x bb
run --blkio-weight-device /dev/null:5 bb
run --add-host x bb
run --add-host x: bb
run --add-host x:1.2.3 bb
run --dns x bb
run --dns-search 'x y' bb
run --ip x bb
run --ip6 x bb
run --mac-address x bb
run --link x bb
run --link a:b:c bb
run --log-driver nope bb
run --log-driver none --log-opt a=b bb
run --log-opt x bb
run --security-opt x bb
run --security-opt seccomp=/nope bb
run --sysctl x bb
run --storage-opt x bb
run --annotation x bb
run --cgroupns x bb
run --pid x bb
run --ipc x bb
run --uts x bb
run --userns x bb
run --runtime nope bb
run --gpus x bb
run --isolation x bb
run --platform x bb
run --stop-signal NOPE bb
run --stop-timeout x bb
run --shm-size x bb
run --shm-size 0 --rm bb true
run --oom-score-adj 2000 bb
run --memory-swappiness 200 bb
run --cpu-shares x bb
run --cpu-rt-period x bb
run --kernel-memory x bb
run --cidfile ENVFILE bb
run --volumes-from nope bb
run --group-add nope --rm bb id
run --init --rm bb true
run --link-local-ip x bb
run --sig-proxy=x bb
run -itd=x bb
run --rm bb@sha256:1
run --rm UPPER
run --rm 'a b'
run --quiet --pull always nope.invalid/same
run
run --foo
tag
tag bb
tag nope same:1
tag bb 'A B'
tag bb bb@sha256:5bfeaabf6727a6d2c7fb1d254d6c625057154f886126ee53ef8aea0e1bcdb349
pull
pull 'A B'
pull bb@foo
load -i /nope
load x
import /nope
import
login a b
login -p x -u y --password-stdin
login --password-stdin
logout same.example
logout
top
container foo
container pss
container
container rm same-none
container rm -f same-none
container start same-none
container stop same-none
container prune -f --filter label=same-none
container prune -f --filter foo=x
image prune -f --filter label=same-none
image prune -f --filter foo=x
network prune -f --filter label=same-none
volume prune -f --filter label=same-none
volume prune -f -a --filter label=same-none
system prune -f --filter label=same-none
system prune -f --volumes --filter until=10m
system prune -af --filter label=same-none
system prune x
foo
--foo
-H
-H tcp://127.0.0.1:1 -H b ps
--log-level foo ps
--context nope ps
--context x -H unix:///x ps
-H unix:///x/y ps -f
-H foo://x ps
help foo
help ps foo
context ls
context ls -q
context ls --format json
context ls --format '{{.Name}} {{.DockerEndpoint}}'
context show
context inspect -f '{{.Name}}'
context inspect nope
context use nope
context foo
PROGRAM ps -a >/dev/full
PROGRAM ps -a --filter name=same- | head -1
NO_COLOR=1 PROGRAM ps -aq --filter name=same-a
DOCKER_HOST= PROGRAM -H $DOCKER_HOST ps -aq --filter name=same-a
""".strip().splitlines()


HELPS = """run create exec ps build pull images logs login logout attach inspect kill pause port rename restart rm start stop
unpause wait cp diff export commit history import load rmi tag events info version container/ls container/inspect container/prune container/start
image/ls image/inspect image/prune image/rm network/connect network/create network/disconnect network/inspect network/ls
network/prune network/rm volume/create volume/inspect volume/ls volume/prune volume/rm system/df system/prune system/info
system/events context/ls context/show context/use context/inspect container network volume""".split()


def prepare():
    remove()
    for line in ("run -d --name same-a -p 80 --expose 81 -l a=b -l c=d -v same-v:/v -e E=1 --stop-timeout 1 bb sh -c 'echo one; echo two; exec sleep 1000'",
                 "run --name same-done bb sh -c 'echo done; exit 3'", "create --name same-b -v /anon bb true"):
        code, _, err = run(DOCKER, line)
        if code not in (0, 3):
            sys.exit(f"{line}: {err}")
    with open(os.path.join(CONFIG, "env"), "w") as f:
        f.write("# a comment\nX=1\n\nY=a b\nHOME\nNOTSET_SAME\n")


def remove():
    run(DOCKER, "rm -fv $(PROGRAM ps -aq --filter name=same-) 2>/dev/null".replace("PROGRAM", DOCKER))
    run(DOCKER, "volume rm same-v same-x 2>/dev/null")
    run(DOCKER, "network rm same-x 2>/dev/null")


def main():
    prepare()
    table = [line.replace("MINE", MINE).replace("ENVFILE", CONFIG + "/env") for line in lines()]
    table += [h.replace("/", " ") + " --help" for h in HELPS]
    different = 0
    for line in table:
        if ONLY and not re.search(ONLY, line):
            continue
        for _ in range(20):
            theirs, ours = (result(p, line, b"stdin\n") for p in (DOCKER, WHERRY))
            if theirs == ours:
                break
        if theirs == ours:
            continue
        different += 1
        print(f"=== {line}")
        for name, a, b in zip(("status", "stdout", "stderr"), theirs, ours):
            if a != b:
                print(f"--- {name}\ndocker: {a}\nwherry: {b}")
        sys.stdout.flush()
    print(f"{len(table)} lines, {different} differ")
    remove()
    return 1 if different else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        subprocess.run(["rm", "-rf", CONFIG])
