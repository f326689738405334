# The API's shapes: requests whose answers a real dockerd gave, sent to our daemon (api/replay.py).
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	daemon_setup
	make_busybox
	curl -sf --unix-socket "$SOCK" -X POST -H 'Content-Type: application/x-tar' --data-binary @"$DIR/bb.tar" \
		"http://d/images/create?fromSrc=-&repo=bb&tag=latest&changes=CMD%20%5B%22sh%22%5D" >/dev/null
}

teardown_file() {
	daemon_teardown
}

replay() {
	run python3 "$BATS_TEST_DIRNAME/api/replay.py" check "$SOCK" "$BATS_TEST_DIRNAME/api/$1.http"
	[ "$status" -eq 0 ] || fail "$(grep -v '^ok ' <<<"$output")"
	[ "$(grep -c '^ok ' <<<"$output")" -eq "$(grep -c '^### ' "$BATS_TEST_DIRNAME/api/$1.http")" ]
}

refused() { # METHOD PATH CURL-ARGUMENTS...
	run api "$@" -w ' %{http_code}'
	[[ "$output" == '{"message":"'*' 4'?? ]] || fail "${2:0:60}: ${output:0:200}"
}

@test "the engine answers as dockerd: ping, versions, info, swarm, plugins, events" {
	replay system
}

@test "containers and execs answer as in dockerd" {
	replay containers
}

@test "networks and volumes answer as in dockerd" {
	replay networks
}

@test "images and builds answer as in dockerd" {
	replay images
}

@test "what is too long, too deep or too large meets a 4xx and costs nothing" {
	local long deep json='Content-Type: application/json' pid before after
	long=$(printf 'a%.0s' {1..9000})
	deep=$(printf '[%.0s' {1..100})
	head -c 5000000 /dev/zero | tr '\0' ' ' >"$DIR/large"
	pid=$(cat "$DIR/daemon.pid")
	before=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
	refused GET "/containers/$long/json"
	refused GET "/images/$long/json"
	refused GET "/volumes/$long"
	refused GET "/networks/$long"
	refused GET "/exec/$long/json"
	refused POST "/containers/create?name=$long" -H "$json" -d '{"Image":"bb"}'
	refused POST "/images/bb/tag?repo=$long"
	refused POST /networks/create -H "$json" -d "{\"Name\":\"$long\"}"
	refused POST /volumes/create -H "$json" -d "{\"Name\":\"$long\"}"
	refused POST /containers/create -H "$json" -d "{\"Image\":$deep"
	refused GET "/containers/json?filters={\"name\":$deep" -g
	refused GET "/info?x=$long$long$long$long$long$long$long$long"
	refused GET /info -H "X-A: $long$long$long$long$long$long$long$long"
	refused POST /containers/create -H "$json" --data-binary @"$DIR/large"
	after=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
	[ $((after - before)) -lt 16384 ] || fail "$before kB before, $after kB after"
	[ -z "$("$WHERRY" ps -aq)" ]
}
