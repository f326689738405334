# What a container uses and how much it may: stats, top, update, limits in the kernel, metrics; our CLI and the docker CLI.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	export DOCKER
	DOCKER=$(docker_cli)
	[ -x "$DOCKER" ] || fail "no docker CLI: ./test fetches it"
	daemon_setup
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
