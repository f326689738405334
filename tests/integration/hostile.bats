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
stalled() { # number, request line
	python3 - "$SOCK" "$@" <<-'END' 3>&- &
		import socket, sys, time
		path, number, line = sys.argv[1], int(sys.argv[2]), sys.argv[3]
		keep = []
		for _ in range(number):
			s = socket.socket(socket.AF_UNIX)
			s.connect(path)
			s.send((line + " HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").encode())
			keep.append(s)
		time.sleep(60)
	END
	stalled_pid=$!
}

daemon_kib() {
	awk '/^VmRSS/ { print $2 }' "/proc/$(cat "$DIR/daemon.pid")/status"
}

@test "clients that read nothing cost little memory" {
	w run -d --name talker bb yes
	before=$(daemon_kib)
	stalled 20 "GET /containers/talker/logs?follow=1&stdout=1"
	sleep 2
	logs=$(daemon_kib)
	kill $stalled_pid
	w rm -f talker
	[ $((logs - before)) -lt 30000 ] || fail "log readers: $before KiB, then $logs"

	stalled 20 "GET /events"
	sleep 0.3
	python3 - "$SOCK" <<-'END'
		import http.client, socket, sys
		c = http.client.HTTPConnection("d")
		c.sock = socket.socket(socket.AF_UNIX)
		c.sock.connect(sys.argv[1])
		labels = '{"pad": "%s"}' % ("x" * 8000)
		for i in range(300):
			c.request("POST", "/volumes/create", '{"Name": "pad", "Labels": %s}' % labels,
				{"Content-Type": "application/json"})
			assert c.getresponse().read()
			c.request("POST", "/containers/create?name=pad", '{"Image": "bb", "Labels": %s}' % labels,
				{"Content-Type": "application/json"})
			assert c.getresponse().read()
			c.request("DELETE", "/containers/pad?v=1")
			c.getresponse().read()
	END
	events=$(daemon_kib)
	kill $stalled_pid
	[ $((events - logs)) -lt 15000 ] || fail "event readers: $logs KiB, then $events"
	w volume rm pad
}

@test "more environment than a kernel takes is refused at once" {
	python3 -c 'import json; print(json.dumps({"Image": "bb", "Env": ["a%d=b" % i for i in range(200000)]}))' >"$DIR/env.json"
	run api POST /containers/create -m 5 -H 'Content-Type: application/json' --data-binary @"$DIR/env.json"
	[ "$output" = '{"message":"more than 4096 environment variables"}' ]
}
