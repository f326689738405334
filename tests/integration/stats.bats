# What a container uses and how much it may: stats, top, update, limits in the kernel, metrics; our CLI and the docker CLI.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	export DOCKER
	DOCKER=$(docker_cli)
	[ -x "$DOCKER" ] || fail "no docker CLI: ./test fetches it"
	export METRICS
	METRICS=127.0.0.1:$(free_port)
	daemon_setup --metrics-addr "$METRICS"
	busybox_image
}

teardown_file() {
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

d() {
	"$DOCKER" "$@"
}

code() { # PATH: the status of a GET
	api GET "$1" -o /dev/null -w '%{http_code}'
}

@test "top shows the container's processes and nothing else" {
	w run -d --name busy bb sh -c 'sleep 1001 & exec sleep 1002' >/dev/null
	eventually 5 sh -c "curl -s --unix-socket '$SOCK' http://d/v1.45/containers/busy/top | grep -q 'sleep 1001'"
	doc=$(api GET /containers/busy/top)
	[ "$(jq -c .Titles <<<"$doc")" = '["UID","PID","PPID","C","STIME","TTY","TIME","CMD"]' ]
	[ "$(jq -r '.Processes[][7]' <<<"$doc" | sort | tr '\n' ,)" = "sleep 1001,sleep 1002," ]
	doc=$(api GET "/containers/busy/top?ps_args=-o%20pid,comm")
	[ "$(jq -c .Titles <<<"$doc")" = '["PID","COMMAND"]' ]
	[ "$(jq '.Processes | length' <<<"$doc")" = 2 ]
	doc=$(api GET "/containers/busy/top?ps_args=axf") # ps refuses f together with a list of processes
	[ "$(jq '.Processes | length' <<<"$doc")" = 2 ]
	[[ "$(d top busy -o pid,args)" == *"sleep 1002"* ]]
}

@test "top refuses in dockerd's words" {
	w run -d --name busy bb sleep 1000 >/dev/null
	w create --name rests bb true >/dev/null
	id=$(w inspect -f '{{.Id}}' rests)
	[ "$(api GET /containers/rests/top)" = "{\"message\":\"container $id is not running\"}" ]
	[ "$(code /containers/rests/top)" = 409 ]
	[ "$(code /containers/nosuch/top)" = 404 ]
	[ "$(api GET '/containers/busy/top?ps_args=-o%20comm')" = "{\"message\":\"Couldn't find PID field in ps output\"}" ]
	[ "$(api GET '/containers/busy/top?ps_args=-e%20-o%20user=PID')" = '{"message":"specifying \"user=PID\" is not allowed"}' ]
	[[ "$(api GET '/containers/busy/top?ps_args=-Zbogus')" == '{"message":"ps: error: '* ]]
	[ "$(code '/containers/busy/top?ps_args=-Zbogus')" = 500 ]
}

@test "one document of stats has two samples, one-shot has one" {
	w run -d --name busy -m 64m --pids-limit 50 bb sleep 1000 >/dev/null
	doc=$(api GET '/containers/busy/stats?stream=0')
	jq -e '.name == "/busy" and .pids_stats.current == 1 and .pids_stats.limit == 50' <<<"$doc"
	jq -e '.memory_stats.limit == 67108864 and .memory_stats.usage > 0' <<<"$doc"
	jq -e '.precpu_stats.cpu_usage.total_usage > 0 and .precpu_stats.system_cpu_usage > 0' <<<"$doc"
	jq -e '.cpu_stats.system_cpu_usage > .precpu_stats.system_cpu_usage' <<<"$doc"
	jq -e '(.preread | startswith("0001") | not) and .read > .preread' <<<"$doc"
	jq -e '.blkio_stats.io_service_bytes_recursive | type == "array"' <<<"$doc"
	jq -e '.networks.eth0.rx_bytes >= 0 and (.networks | length) == 1' <<<"$doc"
	doc=$(api GET '/containers/busy/stats?stream=0&one-shot=1')
	jq -e '.cpu_stats.cpu_usage.total_usage > 0 and .precpu_stats.cpu_usage.total_usage == 0' <<<"$doc"
	[ "$(code '/containers/busy/stats?stream=1&one-shot=1')" = 400 ]
	[ "$(code '/containers/nosuch/stats?stream=0')" = 404 ]
}

@test "one-shot came with API 1.41, a limit of processes in updates with 1.40" {
	w run -d --name busy bb sleep 1000 >/dev/null
	doc=$(curl -s --unix-socket "$SOCK" 'http://d/v1.40/containers/busy/stats?stream=0&one-shot=1')
	jq -e '.precpu_stats.cpu_usage.total_usage > 0' <<<"$doc"
	for version in 1.39 1.40; do
		curl -s --unix-socket "$SOCK" -X POST -H 'Content-Type: application/json' -d '{"PidsLimit": 33}' \
			"http://d/v$version/containers/busy/update"
		[ "$(group busy pids pids.max pids.max)" = "$([ $version = 1.39 ] && echo max || echo 33)" ]
	done
}

@test "stats of a stopped container are empty, the host's network has no interfaces" {
	w create --name rests bb true >/dev/null
	doc=$(api GET '/containers/rests/stats?stream=0')
	jq -e '.read == "0001-01-01T00:00:00Z" and .memory_stats == {} and .name == "/rests"' <<<"$doc"
	w run -d --name hosted --network host bb sleep 1000 >/dev/null
	jq -e '.networks == null and .pids_stats.current == 1' <<<"$(api GET '/containers/hosted/stats?stream=0&one-shot=1')"
}

@test "a stream of stats ends when the container is removed" {
	w run -d --name busy bb sleep 1000 >/dev/null
	curl -sN --unix-socket "$SOCK" http://d/v1.45/containers/busy/stats >"$DIR/stream" 3>&- &
	stream=$!
	eventually 10 grep -q busy "$DIR/stream"
	w kill busy >/dev/null
	eventually 10 grep -q '"read":"0001-01-01T00:00:00Z"' "$DIR/stream" # it goes on while the container is there
	w rm busy >/dev/null
	wait $stream
	jq -es 'all(.name == "/busy")' "$DIR/stream"
}

@test "docker stats shows what runs" {
	w run -d --name busy -m 64m bb sleep 1000 >/dev/null
	w create --name rests bb true >/dev/null
	run d stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}}'
	[[ "$output" =~ ^busy\ [0-9.]+[KM]iB\ /\ 64MiB\ 1$ ]] || fail "$output"
	run d stats --no-stream -a --format '{{.Name}} {{.PIDs}}'
	[ "$(sort <<<"$output" | tr '\n' ,)" = "busy 1,rests 0," ] || fail "$output"
}

# --- limits ---

# CONTAINER V1-CONTROLLER V1-FILE V2-FILE: what the kernel has
group() {
	local id
	id=$(w inspect -f '{{.Id}}' "$1")
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		cat "/sys/fs/cgroup/wherry-test-$TAG/$id/$4"
	else
		cat "/sys/fs/cgroup/$2/wherry-test-$TAG/$id/$3"
	fi
}

is_v2() {
	[ -e /sys/fs/cgroup/cgroup.controllers ]
}

create() { # NAME HOSTCONFIG
	api POST "/containers/create?name=$1" -H 'Content-Type: application/json' \
		-d "{\"Image\": \"bb\", \"Cmd\": [\"sleep\", \"1000\"], \"HostConfig\": $2}"
}

update() { # NAME BODY
	api POST "/containers/$1/update" -H 'Content-Type: application/json' -d "$2"
}

@test "limits are in the kernel" {
	create limited '{"Memory": 67108864, "MemorySwap": 134217728, "MemoryReservation": 33554432, "CpuShares": 512,
		"CpuQuota": 50000, "CpuPeriod": 200000, "CpusetCpus": "0", "PidsLimit": 77,
		"Ulimits": [{"Name": "nofile", "Soft": 99, "Hard": 100}], "ShmSize": 8388608, "OomScoreAdj": 300,
		"Sysctls": {"net.ipv4.ip_forward": "0"}}'
	w start limited >/dev/null
	[ "$(group limited memory memory.limit_in_bytes memory.max)" = 67108864 ]
	[ "$(group limited memory memory.soft_limit_in_bytes memory.low)" = 33554432 ]
	[ "$(group limited cpuset cpuset.cpus cpuset.cpus)" = 0 ]
	[ "$(group limited pids pids.max pids.max)" = 77 ]
	if is_v2; then
		[ "$(group limited - - memory.swap.max)" = 67108864 ]
		[ "$(group limited - - cpu.weight)" = 20 ]
		[ "$(group limited - - cpu.max)" = "50000 200000" ]
	else
		[ "$(group limited memory memory.memsw.limit_in_bytes -)" = 134217728 ]
		[ "$(group limited cpu cpu.shares -)" = 512 ]
		[ "$(group limited cpu cpu.cfs_quota_us -) $(group limited cpu cpu.cfs_period_us -)" = "50000 200000" ]
	fi
	[ "$(w exec limited sh -c 'ulimit -n; ulimit -Hn' | tr '\n' ,)" = "99,100," ]
	[ "$(w exec limited cat /proc/1/oom_score_adj)" = 300 ]
	[ "$(w exec limited cat /proc/sys/net/ipv4/ip_forward)" = 0 ]
	[[ "$(w exec limited df -k /dev/shm)" == *" 8192 "* ]]
}

@test "memory alone allows as much swap, cpus are a quota, swappiness is v1's" {
	create limited '{"Memory": 67108864, "NanoCpus": 500000000, "MemorySwappiness": 40, "PidsLimit": -1}'
	w start limited >/dev/null
	[ "$(w inspect -f '{{.HostConfig.MemorySwap}} {{.HostConfig.PidsLimit}}' limited)" = "134217728 <no value>" ] ||
		[ "$(w inspect -f '{{.HostConfig.MemorySwap}} {{.HostConfig.PidsLimit}}' limited)" = "134217728 <nil>" ]
	[ "$(group limited pids pids.max pids.max)" = max ]
	if is_v2; then
		[ "$(group limited - - cpu.max)" = "50000 100000" ]
	else
		[ "$(group limited memory memory.memsw.limit_in_bytes -)" = 134217728 ]
		[ "$(group limited memory memory.swappiness -)" = 40 ]
		[ "$(group limited cpu cpu.cfs_quota_us -)" = 50000 ]
	fi
}

@test "the OOM killer is off where it can be" {
	is_v2 && skip "cgroup v1 only"
	[ "$(create patient '{"Memory": 67108864, "MemorySwap": 67108864, "OomKillDisable": true}' | jq '.Warnings | length')" = 0 ]
	w start patient >/dev/null
	[[ "$(group patient memory memory.oom_control -)" == *"oom_kill_disable 1"* ]]
	# stuck is told too, and it can be ended all the same
	w exec -d patient sh -c 'x=$(head -c 100m /dev/zero | tr "\0" x)'
	eventually 30 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.OOMKilled}}' patient)\" = true ]"
	w rm -f patient >/dev/null
}

@test "block devices are throttled" {
	device=$(lsblk -dno PATH | head -1)
	[ -n "$device" ] || skip "no block device"
	numbers=$(lsblk -dno MAJ:MIN "$device" | tr -d ' ')
	create limited "{\"BlkioDeviceReadBps\": [{\"Path\": \"$device\", \"Rate\": 1048576}],
		\"BlkioDeviceWriteIOps\": [{\"Path\": \"$device\", \"Rate\": 50}]}"
	w start limited >/dev/null
	[[ "$(group limited blkio blkio.throttle.read_bps_device io.max)" == "$numbers "*1048576* ]]
	[[ "$(group limited blkio blkio.throttle.write_iops_device io.max)" == "$numbers "*50* ]]
	create nowhere '{"BlkioDeviceReadBps": [{"Path": "/dev/nope", "Rate": 5}]}'
	run w start nowhere
	[ "$status" -ne 0 ]
	[[ "$output" == *"stat /dev/nope: "[Nn]"o such file or directory"* ]]
}

@test "limits that cannot be are refused in dockerd's words" {
	[ "$(create bad '{"Memory": 1000}')" = '{"message":"Minimum memory limit allowed is 6MB"}' ]
	[ "$(create bad '{"CpusetCpus": "4000"}' | jq -r .message | cut -d, -f1)" = "Requested CPUs are not available - requested 4000" ]
	[[ "$(create bad '{"CpuRealtimeRuntime": 5}')" == *"real-time scheduling is not supported"* ]]
	[ "$(create warned '{"OomKillDisable": true}' | jq '.Warnings | length')" = 1 ]
	create sysctl '{"Sysctls": {"kernel.nosuch": "1"}}'
	run w start sysctl
	[ "$status" -ne 0 ]
	[[ "$output" == *kernel.nosuch* ]]
}

@test "an update reaches the kernel at once, and the next start" {
	create moved '{"Memory": 67108864}'
	w start moved >/dev/null
	[ "$(update moved '{"Memory": 134217728, "MemorySwap": 268435456, "CpuShares": 2048, "CpuQuota": 30000, "PidsLimit": 40,
		"CpusetCpus": "0"}')" = '{"Warnings":null}' ]
	for round in live restarted; do
		[ "$(group moved memory memory.limit_in_bytes memory.max)" = 134217728 ] || fail $round
		[ "$(group moved pids pids.max pids.max)" = 40 ] || fail $round
		[ "$(group moved cpuset cpuset.cpus cpuset.cpus)" = 0 ] || fail $round
		[ "$(group moved cpu cpu.cfs_quota_us cpu.max | cut -d' ' -f1)" = 30000 ] || fail $round
		is_v2 || [ "$(group moved cpu cpu.shares -)" = 2048 ] || fail $round
		is_v2 || [ "$(group moved memory memory.memsw.limit_in_bytes -)" = 268435456 ] || fail $round
		w restart -t 0 moved >/dev/null
	done
	[ "$(update moved '{"PidsLimit": -1}')" = '{"Warnings":null}' ]
	[ "$(update moved '{"CpuQuota": -1}')" = '{"Warnings":null}' ] # none again
	[ "$(group moved pids pids.max pids.max)" = max ]
	[ "$(w inspect -f '{{.HostConfig.PidsLimit}}' moved)" = 0 ]
	# memory below what swap was set to, up again
	[ "$(update moved '{"Memory": 33554432}')" = '{"Warnings":null}' ]
	[ "$(group moved memory memory.limit_in_bytes memory.max)" = 33554432 ]
	d update --cpu-shares 300 -m 64m moved
	[ "$(w inspect -f '{{.HostConfig.CpuShares}} {{.HostConfig.Memory}}' moved)" = "300 67108864" ]
}

@test "an update that contradicts is refused in dockerd's words and changes nothing" {
	create moved '{"Memory": 67108864, "NanoCpus": 500000000}'
	w start moved >/dev/null
	id=$(w inspect -f '{{.Id}}' moved)
	[ "$(update moved '{"Memory": 1000000000}')" = "{\"message\":\"Cannot update container $id: Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time\"}" ]
	[ "$(update moved '{"CpuQuota": 50000}')" = "{\"message\":\"Cannot update container $id: Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set\"}" ]
	[ "$(update moved '{"Memory": 5}')" = '{"message":"Minimum memory limit allowed is 6MB"}' ]
	[ "$(update nosuch '{}')" = '{"message":"No such container: nosuch"}' ]
	[ "$(w inspect -f '{{.HostConfig.Memory}} {{.HostConfig.CpuQuota}}' moved)" = "67108864 0" ]
	[ "$(group moved memory memory.limit_in_bytes memory.max)" = 67108864 ]
	# what the kernel refuses is taken back: a process holds more than the new limit
	w run -d --name held -m 64m --memory-swap 64m bb sh -c 'head -c 30000000 /dev/zero >/dev/shm/x; exec sleep 1000' >/dev/null
	eventually 10 sh -c "[ \$('$WHERRY' exec held stat -c %s /dev/shm/x) = 30000000 ]"
	is_v2 || {
		[[ "$(update held '{"Memory": 6291456, "MemorySwap": 6291456}')" == *"Cannot update container "*"crun: "* ]]
		[ "$(w inspect -f '{{.HostConfig.Memory}}' held)" = 67108864 ]
	}
}

@test "an update of the restart policy holds; the event is told" {
	since=$(date +%s)
	w run -d --name policy bb sleep 1000 >/dev/null
	[ "$(update policy '{"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}')" = '{"Warnings":null}' ]
	[ "$(w inspect -f '{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}' policy)" = on-failure:2 ]
	w exec policy sh -c 'kill -9 1; kill -TERM 1' || true
	[ "$(w events --since "$since" --until "$(($(date +%s) + 1))" --filter event=update --filter container=policy --format '{{.Actor.Attributes.name}}')" = policy ]
	w run -d --name gone --rm bb sleep 1000 >/dev/null
	[[ "$(update gone '{"RestartPolicy": {"Name": "always"}}')" == *"Restart policy cannot be updated because AutoRemove is enabled"* ]]
}

@test "a process killed for memory is told at once, and at the end" {
	since=$(date +%s)
	w run -d --name hungry -m 16m --memory-swap 16m \
		bb sh -c '(echo 1000 >/proc/self/oom_score_adj; x=$(head -c 60m /dev/zero | tr "\0" x)); sleep 1000' >/dev/null
	eventually 20 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.OOMKilled}}' hungry)\" = true ]"
	[ "$(w inspect -f '{{.State.Running}}' hungry)" = true ]
	w kill hungry >/dev/null
	eventually 5 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.OOMKilled}} {{.State.Running}}' hungry)\" = 'true false' ]"
	w start hungry >/dev/null
	eventually 20 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.OOMKilled}}' hungry)\" = true ]"
	[ "$(w events --since "$since" --until "$(($(date +%s) + 1))" --filter event=oom --filter container=hungry | wc -l)" -ge 2 ]
}

# --- our CLI, metrics ---

@test "our stats and top print what docker prints" {
	w run -d --name busy -m 64m bb sh -c 'sleep 1001 & exec sleep 1002' >/dev/null
	w create --name rests bb true >/dev/null
	eventually 5 sh -c "'$WHERRY' top busy | grep -q 'sleep 1001'"
	# columns 4 and 7 are processor time used
	[ "$(w top busy | awk '{ $4 = $7 = ""; print }')" = "$(d top busy | awk '{ $4 = $7 = ""; print }')" ]
	[ "$(w top busy -o pid,comm)" = "$(d top busy -o pid,comm)" ]
	[ "$(w container top busy -eo pid,args)" = "$(d container top busy -eo pid,args)" ]
	# what does not change from one call to the next
	for format in '{{.Container}} {{.ID}} {{.Name}} {{.PIDs}}' 'table {{.Name}}\t{{.PIDs}}'; do
		[ "$(w stats --no-stream --format "$format" busy rests)" = "$(d stats --no-stream --format "$format" busy rests)" ]
		[ "$(w stats --no-stream -a --format "$format" | sort)" = "$(d stats --no-stream -a --format "$format" | sort)" ]
	done
	[[ "$(w stats --no-stream --format '{{.MemUsage}} {{.MemPerc}} {{.CPUPerc}} {{.NetIO}}' busy)" =~ ^[0-9.]+[KM]iB\ /\ 64MiB\ [0-9.]+%\ [0-9.]+%\ [0-9.]+k?B\ /\ [0-9.]+k?B$ ]]
	[ "$(w stats --no-stream --no-trunc --format '{{.ID}}')" = "$(w inspect -f '{{.Id}}' busy)" ]
	[ "$(w stats --no-stream busy | head -1 | tr -s ' ')" = "$(d stats --no-stream busy | head -1 | tr -s ' ')" ]
	run w stats --no-stream busy nosuch
	[ "$status" -eq 1 ]
	[ "$output" = "Error response from daemon: No such container: nosuch" ]
}

@test "compose stats and top show the project's containers" {
	printf 'services:\n  one:\n    image: bb\n    command: sleep 1001\n  two:\n    image: bb\n    command: sleep 1002\n' >"$DIR/compose.yaml"
	own="$BUILD/src/wherry/wherry compose -p usage -f $DIR/compose.yaml"
	w run -d --name other bb sleep 1000 >/dev/null
	$own up -d
	[ "$($own stats --no-stream --format '{{.Name}} {{.PIDs}}' | sort | tr '\n' ,)" = "usage-one-1 1,usage-two-1 1," ]
	[ "$($own stats --no-stream --format '{{.Name}}' two)" = usage-two-1 ]
	[[ "$($own top two)" == *"sleep 1002"* ]]
	$own down -t 0
	[ -z "$($own stats --no-stream --format '{{.Name}}')" ]
}

@test "our stats follow until the containers are gone" {
	w run -d --name busy bb sleep 1000 >/dev/null
	w stats --format '{{.Name}} {{.PIDs}}' busy >"$DIR/followed" 3>&- &
	follower=$!
	eventually 10 grep -q 'busy 1' "$DIR/followed"
	w rm -f busy >/dev/null
	wait $follower
}

@test "our update has docker's flags and words" {
	create moved '{}'
	w start moved >/dev/null
	[ "$(w update -m 64m --memory-swap 128m --cpus 0.5 --pids-limit 60 -c 700 --restart on-failure:3 moved)" = moved ]
	[ "$(w inspect -f '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}' moved)" = "67108864 500000000 3" ]
	[ "$(group moved pids pids.max pids.max)" = 60 ]
	run w container update moved
	[ "$status" -eq 1 ]
	[ "$output" = "you must provide one or more flags when using this command" ]
	run w update -m 5 moved
	[ "$status" -eq 1 ]
	[ "$output" = "Error response from daemon: Minimum memory limit allowed is 6MB" ]
	run w update --pids-limit 70 moved nosuch
	[ "$status" -eq 1 ]
	[[ "$output" == *"No such container: nosuch"* && "$output" == *moved* ]]
}

@test "metrics are on the API's socket and, alone, on metrics-addr" {
	w run -d --name busy -m 64m --health-cmd true --health-interval 1s bb sleep 1000 >/dev/null
	w create --name rests bb true >/dev/null
	eventually 20 sh -c "'$WHERRY' ps --filter health=healthy -q | grep -q ."
	text=$(api GET /metrics)
	[[ "$text" == *'engine_daemon_container_states_containers{state="running"} 1'* ]]
	[[ "$text" == *'engine_daemon_container_states_containers{state="stopped"} 1'* ]]
	[[ "$text" == *'engine_daemon_engine_info{architecture='* ]]
	[[ "$text" == *'engine_daemon_container_actions_seconds_count{action="start"} '[1-9]* ]]
	[[ "$text" == *'engine_daemon_container_actions_seconds_count{action="create"} '[1-9]* ]]
	id=$(w inspect -f '{{.Id}}' busy)
	labels="{id=\"$id\",name=\"busy\",image=\"bb\""
	[[ "$text" == *"container_spec_memory_limit_bytes$labels} 67108864"* ]]
	[[ "$text" == *"container_threads$labels} "[1-9]* ]] # more than one while a probe runs
	[[ "$text" == *"container_network_receive_bytes_total$labels,interface=\"eth0\"} "* ]]
	[[ "$text" == *"container_health_status$labels,status=\"healthy\"} 1"* ]]
	# each family once and in one piece
	[ -z "$(grep '^# TYPE' <<<"$text" | sort | uniq -d)" ]
	[[ "$(curl -s "http://$METRICS/metrics")" == *"container_threads$labels} "[1-9]* ]]
	[ "$(curl -s -o /dev/null -w '%{http_code}' "http://$METRICS/containers/json")" = 404 ]
	[ "$(curl -s -o /dev/null -w '%{http_code}' -X POST "http://$METRICS/metrics")" = 404 ]
}
