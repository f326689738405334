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
	run w run --rm -v "$DIR:/m:rslave" bb true
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
	for path in good/deep alias/deep absolute; do
		out=$(with_host "{\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"parts\",\"Target\":\"/m\",\"VolumeOptions\":{\"Subpath\":\"$path\"}}]}" 'cat /m/file; echo via >>/m/file')
		[[ "$out" == right* ]] || fail "$path: $out"
	done
	out=$(with_host '{"Mounts":[{"Type":"volume","Source":"parts","Target":"/m","VolumeOptions":{"Subpath":"evil"}}]}' 'ls /m')
	[[ "$out" == *"cannot access path"*"no such file or directory"* ]] || fail "$out"
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

@test "a control group of the caller's, in either form" {
	out=$(with_host "{\"CgroupParent\":\"/wherry-test-$TAG/pods/one\"}" 'cat /proc/1/cgroup')
	[[ "$out" == *":/wherry-test-$TAG/pods/one/"* ]] || fail "$out"
	create sliced "{\"Image\":\"bb\",\"Cmd\":[\"sleep\",\"1000\"],\"HostConfig\":{\"CgroupParent\":\"wherry-test-$TAG/x.slice\"}}"
	w start sliced
	grep -q ":/wherry-test-$TAG/x.slice/" "/proc/$(w inspect -f '{{.State.Pid}}' sliced)/cgroup"
	w rm -f sliced
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
