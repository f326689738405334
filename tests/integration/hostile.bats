# Clients, images and contexts that mean harm: the daemon lives, answers in one sentence, and nothing outside is touched.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	daemon_setup
	busybox_image
}

teardown_file() {
	daemon_teardown
}

w() {
	"$WHERRY" "$@"
}

@test "readers of a log that grows fast do not keep others waiting" {
	w run -d --name talker bb yes
	eventually 5 sh -c "[ \$(cat '$DIR'/data/containers/*/*-json.log | wc -c) -gt 3000000 ]"
	for _ in 1 2 3 4 5; do # nothing is sent to them: only the reading keeps the daemon busy
		api GET "/containers/talker/logs?follow=1&stdout=1&since=4000000000" -m 4 3>&- &
	done
	sleep 0.3
	for _ in 1 2 3 4 5; do
		[ "$(api GET /_ping -m 2)" = OK ] || fail "no answer"
	done
	w rm -f talker
	wait
}

# Connects, sends one request each and reads nothing.
stalled() { # number, path
	rm -f "$DIR/stalled"
	python3 "$BATS_TEST_DIRNAME/hostile_clients.py" "$SOCK" "$DIR/stalled" stall "$@" 3>&- &
	stalled_pid=$!
	eventually 20 test -e "$DIR/stalled"
}

daemon_kib() {
	awk '/^VmRSS/ { print $2 }' "/proc/$(cat "$DIR/daemon.pid")/status"
}

@test "clients that read nothing cost little memory" {
	w run -d --name talker bb yes
	before=$(daemon_kib)
	stalled 20 "/containers/talker/logs?follow=1&stdout=1"
	sleep 2 # what grows without a bound has grown by then
	logs=$(daemon_kib)
	kill $stalled_pid
	w rm -f talker
	[ $((logs - before)) -lt 30000 ] || fail "log readers: $before KiB, then $logs"

	stalled 20 /events
	python3 "$BATS_TEST_DIRNAME/hostile_clients.py" "$SOCK" "" churn 300
	events=$(daemon_kib)
	kill $stalled_pid
	[ $((events - logs)) -lt 15000 ] || fail "event readers: $logs KiB, then $events"
}

@test "more environment than a kernel takes is refused at once" {
	python3 -c 'import json; print(json.dumps({"Image": "bb", "Env": ["a%d=b" % i for i in range(200000)]}))' >"$DIR/env.json"
	run api POST /containers/create -m 5 -H 'Content-Type: application/json' --data-binary @"$DIR/env.json"
	[ "$output" = '{"message":"more than 4096 environment variables"}' ]
}
