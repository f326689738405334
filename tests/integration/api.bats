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
