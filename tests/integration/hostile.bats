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
