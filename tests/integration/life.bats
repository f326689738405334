# HostConfig in the kernel, and a container's life: what a container shares, what it may do, how it ends; through the API.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	daemon_setup
	busybox_image
}

teardown_file() {
	! mountpoint -q "$DIR/peers" || umount -R -l "$DIR/peers"
	daemon_teardown
}

teardown() {
	local ids
	ids=$("$WHERRY" ps -aq)
	[ -z "$ids" ] || "$WHERRY" rm -f -v $ids >/dev/null
}

w() {
	"$WHERRY" "$@"
}

# create NAME BODY: the id, or the answer's message after its status.
create() {
	api POST "/containers/create?name=$1" -H 'Content-Type: application/json' -d "$2" -w ' %{http_code}'
}

# Runs sh -c CMD with a HostConfig and prints what it printed.
with_host() { # HOSTCONFIG CMD
	local body
	body=$(jq -nc --argjson h "$1" --arg c "$2" '{Image: "bb", Cmd: ["sh", "-c", $c], HostConfig: $h}')
	create probe "$body" >/dev/null
	w start -a probe 2>&1
	w rm -f -v probe >/dev/null
}

status_of() {
	"$WHERRY" inspect -f '{{.State.Status}}' "$1"
}

# --- mounts ---

@test "mounts of the host come in by rslave, and go out by rshared" {
	mkdir "$DIR/peers"
	mount -t tmpfs peers "$DIR/peers"
	mount --make-shared "$DIR/peers"
	mkdir "$DIR/peers"/{late,out}
	w run -d --name slave -v "$DIR/peers:/m:rslave" bb sleep 1000
	w run -d --name private -v "$DIR/peers:/m" bb sleep 1000
	w run -d --name shared --privileged -v "$DIR/peers:/m:rshared" bb sleep 1000
	mount -t tmpfs late "$DIR/peers/late"
	touch "$DIR/peers/late/file"
	w exec slave test -e /m/late/file
	run ! w exec private test -e /m/late/file
	w exec shared mount -t tmpfs out /m/out
	grep -q " $DIR/peers/out " /proc/mounts
	w rm -f slave private shared
	umount -R -l "$DIR/peers"
	eventually 5 no_leftovers || fail "$(leftovers)"
	mount -t tmpfs alone "$DIR/peers"
	mount --make-private "$DIR/peers"
	run w run --rm -v "$DIR/peers:/m:rslave" bb true
	umount "$DIR/peers"
	[[ "$output" == *"but it is not a shared or slave mount"* ]]
}

@test "read-only reaches the mounts below, unless asked otherwise" {
	mkdir -p "$DIR/tree/below"
	mount -t tmpfs below "$DIR/tree/below"
	all=$(with_host "{\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"$DIR/tree\",\"Target\":\"/m\",\"ReadOnly\":true}]}" 'touch /m/x /m/below/x; true')
	top=$(with_host "{\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"$DIR/tree\",\"Target\":\"/m\",\"ReadOnly\":true,\"BindOptions\":{\"ReadOnlyNonRecursive\":true}}]}" 'touch /m/x /m/below/x; true')
	without=$(with_host "{\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"$DIR/tree\",\"Target\":\"/m\",\"BindOptions\":{\"NonRecursive\":true}}]}" 'touch /m/below/y; grep -c " /m" /proc/mounts')
	umount "$DIR/tree/below"
	[ "$(grep -c 'Read-only' <<<"$all")" -eq 2 ] || fail "$all"
	[ "$(grep -c 'Read-only' <<<"$top")" -eq 1 ] || fail "$top"
	[ "$without" = 1 ] || fail "$without"
	[ -e "$DIR/tree/below/y" ]
}

@test "a part of a volume is that part, whatever links stand in it" {
	w run --rm -v parts:/v bb sh -c 'mkdir -p /v/good/deep; echo right >/v/good/deep/file; ln -s /etc /v/evil; ln -s good /v/alias; ln -s /good/deep /v/absolute'
	for path in good/deep alias/deep; do
		out=$(with_host "{\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"parts\",\"Target\":\"/m\",\"VolumeOptions\":{\"Subpath\":\"$path\"}}]}" 'cat /m/file; echo via >>/m/file')
		[[ "$out" == right* ]] || fail "$path: $out"
	done
	for path in evil absolute; do
		out=$(with_host "{\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"parts\",\"Target\":\"/m\",\"VolumeOptions\":{\"Subpath\":\"$path\"}}]}" 'ls /m')
		[[ "$out" == *"path concatenation escapes the base directory"* ]] || fail "$path: $out"
	done
	run create bad '{"Image":"bb","Cmd":["true"],"HostConfig":{"Mounts":[{"Type":"volume","Source":"parts","Target":"/m","VolumeOptions":{"Subpath":"../x"}}]}}'
	[[ "$output" == *"subpath must be a relative path within the volume"*" 400" ]] || fail "$output"
	w volume rm parts
}

# CVE-2021-30465: the link is swapped while the container starts.
@test "a part of a volume is looked up once, and held" {
	w run -d --name swapper -v raced:/v bb sh -c 'mkdir -p /v/dir; while :; do mv /v/dir /v/kept; ln -s /etc /v/dir; rm /v/dir; mv /v/kept /v/dir; done'
	eventually 5 sh -c "[ -e '$DIR/data/volumes/raced/_data/dir' ]"
	for i in $(seq 8); do
		out=$(with_host '{"Mounts":[{"Type":"volume","Source":"raced","Target":"/m","VolumeOptions":{"Subpath":"dir"}}]}' 'ls /m')
		[[ "$out" != *passwd* ]] || fail "the host's /etc: $out"
	done
	w rm -f swapper
	w volume rm raced
}

@test "tmpfs options of the user win over the defaults" {
	out=$(with_host '{"Tmpfs":{"/m":"size=1m,mode=700,exec"}}' 'grep " /m " /proc/mounts')
	[[ "$out" == *"rw,nosuid,nodev,relatime,size=1024k,mode=700"* ]] || fail "$out"
}

# --- sharing ---

@test "containers that share a network share its names, and see them change" {
	w run -d --name owner --hostname sandbox bb sleep 1000
	id=$(w inspect -f '{{.Id}}' owner)
	w run -d --name joined --network container:owner bb sleep 1000
	[ "$(w inspect -f '{{.HostConfig.NetworkMode}}' joined)" = "container:$id" ]
	resolv=$(w inspect -f '{{.ResolvConfPath}}' owner)
	[ "$(w inspect -f '{{.ResolvConfPath}}' joined)" = "$resolv" ]
	[ "$(w exec joined hostname)" = sandbox ]
	inode=$(stat -c %i "$resolv")
	echo 'nameserver 192.0.2.53' >"$resolv" # in place, as the kubelet's CRI does
	for name in owner joined; do
		[ "$(w exec $name cat /etc/resolv.conf)" = 'nameserver 192.0.2.53' ]
	done
	w network create "late$TAG" >/dev/null
	w network connect "late$TAG" owner # writes hosts; resolv.conf keeps its inode
	[ "$(stat -c %i "$resolv")" = "$inode" ]
	w run -d --name later --network container:owner bb sleep 1000
	[ "$(w exec later cat /etc/hosts)" = "$(w exec owner cat /etc/hosts)" ]
	w stop -t 0 later
	w stop -t 0 owner
	run w start later
	[[ "$output" == *"cannot join network of a non running container: $id"* ]]
	w rm -f owner joined later
	w network rm "late$TAG"
}

@test "shared memory is shared by IpcMode, and only with those who may" {
	w run -d --name donor --ipc shareable bb sh -c 'echo memory >/dev/shm/x; sleep 1000'
	w run -d --name own bb sleep 1000
	eventually 5 w exec donor test -s /dev/shm/x
	[ "$(w run --rm --ipc container:donor bb sh -c 'cat /dev/shm/x; echo back >/dev/shm/y')" = memory ]
	[ "$(w exec donor cat /dev/shm/y)" = back ]
	[ "$(w exec donor readlink /proc/1/ns/ipc)" = "$(w run --rm --ipc container:donor bb readlink /proc/self/ns/ipc)" ]
	run w run --rm --ipc container:own bb true
	[[ "$output" == *"non-shareable IPC (hint: use IpcMode:shareable for the donor container)"* ]]
	[ "$(with_host '{"IpcMode":"none"}' 'ls /dev/shm 2>&1')" = "ls: /dev/shm: No such file or directory" ]
	w run -d --name watched bb sleep 999
	[[ "$(w run --rm --pid container:watched bb ps -o args)" == *"sleep 999"* ]]
}

@test "masked and read-only paths are the caller's" {
	out=$(with_host '{"MaskedPaths":["/etc/passwd"],"ReadonlyPaths":["/home"]}' 'exec 2>&1; cat /etc/passwd; touch /home/x; grep -c " /proc/" /proc/mounts')
	[ "$out" = "$(printf 'touch: /home/x: Read-only file system\n0')" ] || fail "$out"
	create seen '{"Image":"bb","Cmd":["true"]}'
	[[ "$(w inspect -f '{{json .HostConfig.MaskedPaths}}' seen)" == *'"/proc/kcore"'* ]]
}

@test "a seccomp profile is compiled once, and holds at every start" {
	echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}' \
		>"$DIR/no-mkdir.json"
	for i in 1 2; do
		run w run --name "filtered-$i" --security-opt "seccomp=$DIR/no-mkdir.json" bb sh -c 'grep Seccomp: /proc/self/status; mkdir /new'
		[ "$status" -eq 1 ]
		[[ "$output" == *"Seccomp:"*2* ]]
		[[ "$output" == *"No space left on device"* ]]
	done
	w run -d --name filtered-3 --security-opt "seccomp=$DIR/no-mkdir.json" bb sleep 1000 >/dev/null
	grep -q run.oci.seccomp_bpf_data "$DIR"/run/containers/"$(w inspect -f '{{slice .Id 0 32}}' filtered-3)"/config.json
	[ "$(w exec filtered-3 mkdir /new 2>&1 | grep -c 'No space left')" = 1 ]
	w run --rm bb mkdir /new
}

@test "a filter that comes by an annotation is nobody else's" {
	echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":30}]}' \
		>"$DIR/no-mkdir.json"
	w run --rm --security-opt "seccomp=$DIR/no-mkdir.json" --annotation run.oci.seccomp_bpf_data=BgAAAAAA/38= bb mkdir /new # allows all
	run w run --rm --security-opt "seccomp=$DIR/no-mkdir.json" bb mkdir /new
	[[ "$output" == *"Read-only file system"* ]] || fail "$output"
}

@test "a control group of the caller's, in either form" {
	out=$(with_host "{\"CgroupnsMode\":\"host\",\"CgroupParent\":\"/wherry-test-$TAG/pods/one\"}" 'cat /proc/1/cgroup')
	[[ "$out" == *":/wherry-test-$TAG/pods/one/"* ]] || fail "$out"
	create sliced "{\"Image\":\"bb\",\"Cmd\":[\"sleep\",\"1000\"],\"HostConfig\":{\"CgroupParent\":\"wherry-test-$TAG/x.slice\"}}"
	w start sliced
	grep -q ":/wherry-test-$TAG/x.slice/" "/proc/$(w inspect -f '{{.State.Pid}}' sliced)/cgroup"
	w rm -f sliced
}

groups_named() {
	find /sys/fs/cgroup -path "*/wherry-test-$TAG/*" -type d -name "$1"
}

@test "groups above that a start has made go with the last container; others' stay" {
	top=/sys/fs/cgroup/pids/wherry-test-$TAG
	[ -d /sys/fs/cgroup/pids ] || top=/sys/fs/cgroup/wherry-test-$TAG
	mkdir -p "$top/kept"
	for name in one two; do
		create $name "{\"Image\":\"bb\",\"Cmd\":[\"sleep\",\"1000\"],\"HostConfig\":{\"CgroupParent\":\"/wherry-test-$TAG/kept/made/deep\"}}"
		w start $name
	done
	w rm -f one
	[ -n "$(groups_named deep)" ]
	daemon_signal KILL # two knows it too
	daemon_start
	w rm -f two
	eventually 5 eval '[ -z "$(groups_named made)" ]'
	[ -d "$top/kept" ]
	rmdir "$top/kept"
}

# Frozen in a group of its own, it takes no signal until it is thawed.
stuck_process() { # CONTAINER: $id, and $stuck is the group
	id=$(w inspect -f '{{.Id}}' "$1")
	stuck=/sys/fs/cgroup/freezer/wherry-test-$TAG/$id/stuck
	mkdir "$stuck"
	sleep 1000 3>&- &
	echo $! >"$stuck/cgroup.procs"
	echo FROZEN >"$stuck/freezer.state"
	eventually 5 grep -q FROZEN "$stuck/freezer.state"
}

@test "a group whose process does not die yet goes when it has, unless its container runs again" {
	[ -d /sys/fs/cgroup/freezer ] || skip "cgroup v1 only: on v2 a frozen process dies"
	w run -d --name held bb sleep 1000
	stuck_process held
	process=$!
	w kill held
	[ -d "$stuck" ]
	w start held
	echo THAWED >"$stuck/freezer.state"
	wait $process || true # it was killed when the container ended first
	eventually 5 eval '[ -z "$(cat "$stuck/cgroup.procs")" ]'
	[ "$(w exec held echo still)" = still ]
	rmdir "$stuck"
	stuck_process held
	w rm -f held
	[ -d "$stuck" ]
	echo THAWED >"$stuck/freezer.state"
	eventually 5 eval '[ -z "$(groups_named "$id")" ]'
}

@test "OomScoreAdj below what the daemon may set is clamped, with a warning" {
	if capsh --has-p=cap_sys_resource 2>/dev/null; then
		out=$(with_host '{"OomScoreAdj":-998}' 'cat /proc/self/oom_score_adj')
		[ "$out" = -998 ]
	else
		run create low '{"Image":"bb","Cmd":["cat","/proc/self/oom_score_adj"],"HostConfig":{"OomScoreAdj":-998}}'
		[[ "$output" == *'"Warnings":["OomScoreAdj -998 needs CAP_SYS_RESOURCE'*' 201' ]] || fail "$output"
		[ "$(w start -a low)" -ge -998 ]
	fi
}

@test "ports with network none are ignored, and its namespace is left alone" {
	run create sandbox '{"Image":"bb","Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"none","PortBindings":{"80/tcp":[{"HostPort":"80"}]}}}'
	[[ "$output" == *' 201' ]] || fail "$output"
	w start sandbox
	pid=$(w inspect -f '{{.State.Pid}}' sandbox)
	nsenter -n -t "$pid" ip link add cni0 type veth peer name cni0p
	nsenter -n -t "$pid" ip address add 198.51.100.7/24 dev cni0
	w run --rm bb true
	w restart -t 0 sandbox 2>/dev/null
	w run -d --name joined --network container:sandbox bb sleep 1000
	pid=$(w inspect -f '{{.State.Pid}}' sandbox)
	nsenter -n -t "$pid" ip link add cni1 type veth peer name cni1p
	daemon_signal KILL
	daemon_start
	w exec joined ip link show cni1
	[ -z "$(nsenter -n -t "$pid" nft list ruleset)" ]
	[ "$(w exec joined grep -c 127.0.0.11 /etc/resolv.conf)" -eq 0 ]
}

# --- verbs, in states where they are not at home: recorded from dockerd 26.1.5 ---

verb() { # METHOD PATH [BODY]: status and message
	api "$1" "$2" ${3:+-H 'Content-Type: application/json' -d "$3"} -w '%{http_code}' | jq -rs 'map(if type == "object" then (.message // "") else tostring end) | join(" ")'
}

restarting_verbs() {
	verb POST /containers/loop/start
	verb POST /containers/loop/pause
	verb POST /containers/loop/exec '{"Cmd":["true"]}'
	verb POST '/containers/loop/attach?stream=1'
	verb DELETE /containers/loop
}

# Runs it into the file verbs while the same restart is waited for: each wait is longer than the one before.
in_one_wait() { # COMMAND
	local before
	before=$(w inspect -f '{{.State.Status}} {{.RestartCount}}' loop)
	[[ $before == restarting* ]] || return 1
	"$1" >"$DIR/verbs"
	[ "$before" = "$(w inspect -f '{{.State.Status}} {{.RestartCount}}' loop)" ]
}

@test "verbs answer in dockerd's words whatever the state" {
	w run -d --name loop --restart always bb false
	loop=$(w inspect -f '{{.Id}}' loop)
	eventually 30 eval '[ "$(status_of loop)" = restarting ] && in_one_wait restarting_verbs'
	[ "$(cat "$DIR/verbs")" = "304
Container $loop is restarting, wait until the container is running 409
Container $loop is restarting, wait until the container is running 409
container loop is restarting, wait until the container is running 409
cannot remove container \"/loop\": container is restarting: stop the container before removing or force remove 409" ]
	eventually 10 eval '[ "$(verb POST /containers/loop/kill)" = 204 ]' # refused for the moment of a start
	eventually 5 eval '[ "$(status_of loop)" = exited ]'
	w run -d --name box bb sleep 1000
	box=$(w inspect -f '{{.Id}}' box)
	[ "$(verb POST /containers/box/unpause)" = "Container $box is not paused 500" ]
	[ "$(verb POST /containers/box/kill?signal=1000)" = "cannot kill container: box: the linux daemon does not support signal 1000 400" ]
	[ "$(verb POST '/containers/box/resize?h=x&w=1')" = 'strconv.Atoi: parsing "x": invalid syntax 400' ]
	[ "$(verb POST '/containers/box/attach?stream=1&detachKeys=zzz')" = 'Invalid detach keys (zzz) provided 400' ]
	[ "$(verb POST /containers/box/pause)" = 204 ]
	[ "$(verb POST /containers/box/pause)" = "Container $box is already paused 409" ]
	[ "$(verb POST /containers/box/start)" = "cannot start a paused container, try unpause instead 409" ]
	[ "$(verb POST /containers/box/exec '{"Cmd":["true"]}')" = "Container box is paused, unpause the container before exec 409" ]
	[ "$(verb DELETE /containers/box)" = 'cannot remove container "/box": container is paused and must be unpaused first 409' ]
	[ "$(verb POST /containers/box/kill?signal=WINCH)" = 204 ]
	[ "$(status_of box)" = running ] # the signal has thawed it
	w kill box
	[ "$(verb POST /containers/box/stop)" = 304 ]
	[ "$(verb POST /containers/box/pause)" = "container $box is not running 409" ]
	[ "$(verb POST /containers/box/exec '{"Cmd":["true"]}')" = "container $box is not running 409" ]
	[ "$(verb POST /containers/box/exec '{}')" = "No exec command specified 400" ]
	[ "$(verb POST '/containers/box/wait?condition=soon')" = 'invalid condition: "soon" 400' ]
	[ "$(verb DELETE '/containers/box?link=1')" = "Conflict, cannot remove the default link name of the container 500" ]
}

# Sends TEXT over an attached connection and prints what comes until the end.
session() { # PATH TEXT [websocket | BODY]
	timeout 120 python3 "$ROOT/tests/integration/life_session.py" "$SOCK" "$@"
}

@test "attach over WebSocket: typed and printed, history first, closed at the end" {
	create web '{"Image":"bb","OpenStdin":true,"Cmd":["sh","-c","echo before; read x; echo got $x"]}'
	w start web
	eventually 5 sh -c "'$WHERRY' logs web | grep -q before"
	run session '/containers/web/attach/ws?logs=1&stream=1&stdin=1&stdout=1&stderr=1' 'words\n' websocket
	[ "$output" = "$(printf 'before\ngot words\n[closed 1000]')" ] || fail "$output"
	run verb GET '/containers/web/attach/ws?stream=1'
	[ "$output" = "the request is no WebSocket handshake 400" ]
}

@test "the detach keys let a client go and the container run" {
	w run -d -it --name term bb sh
	run session '/containers/term/attach?stream=1&stdin=1&stdout=1&detachKeys=ctrl-x,q' 'echo typed\r\x18q'
	[[ "$output" == *"[ended]" ]] || fail "$output"
	[ "$(status_of term)" = running ]
	eventually 5 sh -c "'$WHERRY' logs term | grep -q '^typed'" # what was typed before the keys arrived
	run api GET "/events?since=1&until=$(date +%s.%N)&filters=%7B%22event%22:%5B%22detach%22%5D%7D"
	[[ "$output" == *'"Action":"detach"'* ]] || fail "$output"
	id=$(api POST /containers/term/exec -H 'Content-Type: application/json' -d '{"Cmd":["sh"],"Tty":true,"AttachStdin":true,"AttachStdout":true}' | jq -r .Id)
	session "/exec/$id/start" '\x10\x11' '{"Tty":true}'
	# the keys may come before crun has started it: it goes on to run
	eventually 5 sh -c "curl -s --unix-socket '$SOCK' http://d/exec/$id/json | jq -e '.Running and .ExitCode == null'"
}

# --- what Docker does not do ---

@test "a container waits for its device, visibly, and starts when it is there" {
	w run -d --name usb --restart unless-stopped --device "$DIR/node:/dev/node" bb sleep 1000 ||
		fail "under a policy the start is not refused"
	[ "$(status_of usb)" = restarting ]
	[ "$(w inspect -f '{{.State.WherryWaitingFor}}' usb)" = "device $DIR/node" ]
	[[ "$(w inspect -f '{{.State.Error}}' usb)" == *"error gathering device information"* ]]
	[ "$(api GET '/containers/json?all=1' | jq -r '.[].Status')" = "Waiting for device $DIR/node" ]
	run api GET "/events?since=1&until=$(date +%s.%N)&filters=%7B%22event%22:%5B%22waiting%22%5D%7D"
	[ "$(jq -r '.Actor.Attributes.for' <<<"$output")" = "device $DIR/node" ] || fail "$output"
	daemon_signal KILL # it waits on, also when it has never run
	daemon_start
	[ "$(w inspect -f '{{.State.WherryWaitingFor}}' usb)" = "device $DIR/node" ] ||
		eventually 5 sh -c "'$WHERRY' inspect -f '{{.State.WherryWaitingFor}}' usb | grep -q device"
	mknod "$DIR/node" c 1 3
	eventually 20 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.Status}}' usb)\" = running ]"
	w exec usb test -c /dev/node
	[ "$(api GET /containers/usb/json | jq .State.WherryWaitingFor)" = null ]
	rm "$DIR/node"
	w rm -f usb
}

@test "without a policy a missing device or mount source is an error" {
	run -127 w run -d --name once --device "$DIR/nonode" bb true # docker's status for these words
	[[ "$output" == *"error gathering device information while adding custom device \"$DIR/nonode\": no such file or directory"* ]]
	[ "$(status_of once)" = created ]
	mkdir "$DIR/disk"
	create disk "{\"Image\":\"bb\",\"Cmd\":[\"sleep\",\"1000\"],\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"on-failure\",\"MaximumRetryCount\":5},\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"$DIR/disk\",\"Target\":\"/m\"}]}}"
	rmdir "$DIR/disk"
	w start disk
	[ "$(w inspect -f '{{.State.WherryWaitingFor}}' disk)" = "mount source $DIR/disk" ]
	eventually 60 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.Status}}' disk)\" = created ]" # five times were allowed
	w start disk
	w stop disk
	[ "$(status_of disk)" != restarting ]
}

@test "an unhealthy container is restarted where that is asked for" {
	# a stop of 10 s would be 150 events of probes later: only the last 256 are kept
	w run -d --name sick --stop-signal KILL --label wherry.unhealthy=restart --health-cmd 'test -e /tmp/../well' --health-interval 200ms --health-retries 1 \
		bb sh -c 'echo begun >>/runs; sleep 1000'
	w run -d --name left --health-cmd false --health-interval 200ms --health-retries 1 bb sleep 1000
	first=$(w inspect -f '{{.State.StartedAt}}' sick)
	eventually 60 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.StartedAt}}' sick)\" != $first ]"
	run api GET "/events?since=1&until=$(date +%s.%N)&filters=%7B%22event%22:%5B%22unhealthy_restart%22%5D%7D"
	[ "$(jq -r '.Actor.Attributes.name' <<<"$output" | sort -u)" = sick ] || fail "$output"
	eventually 30 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.Health.Status}}' left)\" = unhealthy ]"
	[ "$(w inspect -f '{{.State.Status}}' left)" = running ]
	run create wrong '{"Image":"bb","Cmd":["true"],"Labels":{"wherry.unhealthy":"reboot"}}'
	[[ "$output" == *"invalid label wherry.unhealthy=reboot"*" 400" ]] || fail "$output"
}

@test "another runtime and the default for unhealthy containers come from daemon.json" {
	printf '#!/bin/sh\necho "$@" >>%s/runtime.log\nexec crun --cgroup-manager=cgroupfs "$@"\n' "$DIR" >"$DIR/runtime"
	chmod +x "$DIR/runtime"
	cp "$DIR/daemon.json" "$DIR/daemon.kept"
	echo "{\"runtimes\":{\"wrapped\":{\"path\":\"$DIR/runtime\"}},\"wherry.unhealthy\":\"restart\"}" >"$DIR/daemon.json"
	daemon_signal TERM
	daemon_start
	[ "$(with_host '{"Runtime":"wrapped"}' 'echo through')" = through ]
	grep -q -- '--bundle' "$DIR/runtime.log"
	run create none '{"Image":"bb","Cmd":["true"],"HostConfig":{"Runtime":"other"}}'
	[[ "$output" == *"unknown or invalid runtime name: other"*" 400" ]] || fail "$output"
	w run -d --name sick --health-cmd false --health-interval 200ms --health-retries 1 --stop-timeout 1 bb sleep 1000
	first=$(w inspect -f '{{.State.StartedAt}}' sick)
	eventually 15 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.StartedAt}}' sick)\" != $first ]"
	w rm -f sick
	mv "$DIR/daemon.kept" "$DIR/daemon.json"
	daemon_signal TERM
	daemon_start
}
