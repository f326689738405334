#!/usr/bin/env bats
# daemon.json: what it says reaches containers, SIGHUP takes over what can change, sockets come from systemd.

load lib

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

info() {
	curl -s --unix-socket "$SOCK" http://d/info
}

configure() {
	echo "$1" >"$DIR/daemon.json"
}

restart() {
	daemon_signal TERM
	daemon_start "$@"
}

has_label() {
	info | grep -q "\"Labels\":$1"
}

reload() {
	kill -HUP "$(cat "$DIR/daemon.pid")"
}

@test "defaults of the daemon reach containers that do not say otherwise" {
	configure '{"default-shm-size": "32m", "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 123, "Hard": 456}},
		"dns-search": ["lan.test"], "dns-opts": ["ndots:3"], "no-new-privileges": true, "host-gateway-ip": "10.9.8.7",
		"log-driver": "local", "log-opts": {"max-size": "1m"}, "labels": ["site=lab"]}'
	restart
	run w run --rm --add-host up:host-gateway bb sh -c 'df -k /dev/shm | tail -1; ulimit -n; cat /etc/resolv.conf; grep NoNewPrivs /proc/self/status; grep up$ /etc/hosts'
	[[ "$output" == *" 32768 "* ]]
	[[ "$output" == *$'\n123\n'* ]]
	[[ "$output" == *"search lan.test"* ]]
	[[ "$output" == *"ndots:3"* ]]
	[[ "$output" == *NoNewPrivs:?1* ]]
	[[ "$output" == *10.9.8.7* ]]
	[ "$(w run --rm --ulimit nofile=77 bb sh -c 'ulimit -n')" = 77 ]
	w create --name defaulted bb true >/dev/null
	[ "$(w inspect -f '{{.HostConfig.LogConfig.Type}} {{index .HostConfig.LogConfig.Config "max-size"}}' defaulted)" = "local 1m" ]
	w rm defaulted >/dev/null
	has_label '\["site=lab"\]'
	info | grep -q '"LoggingDriver":"local"'
}

@test "SIGHUP takes over what can change and tells it, and a broken file changes nothing" {
	configure '{"labels": ["a=1"]}'
	restart
	has_label '\["a=1"\]'
	curl -sN --unix-socket "$SOCK" "http://d/events?filters=%7B%22type%22:%5B%22daemon%22%5D%7D" >"$DIR/events" 3>&- &
	local watcher=$!
	configure '{"labels": ["a=2"], "data-root": "'"$DIR"'/elsewhere"}'
	reload
	# data-root is also a flag here: an error, and everything stays
	eventually 10 grep -q 'configuration_not_reloaded.*data-root' "$DIR/daemon.log"
	has_label '\["a=1"\]'
	configure '{"labels": ["a=2"], "registry-mirrors": ["http://127.0.0.1:9"], "bip": "10.77.0.1/24"}'
	reload
	eventually 10 has_label '\["a=2"\]'
	grep -q 'setting_needs_a_restart setting=bip' "$DIR/daemon.log"
	grep -q 'setting_changed setting=labels' "$DIR/daemon.log"
	eventually 10 grep -q '"Type":"daemon","Action":"reload"' "$DIR/events"
	grep -q '"labels":"\[\\"a=2\\"\]"' "$DIR/events"
	kill $watcher
	configure '{"labels": [}'
	reload
	eventually 10 grep -q 'configuration_not_reloaded.*invalid JSON' "$DIR/daemon.log"
	has_label '\["a=2"\]'
	configure '{}'
	reload
	eventually 10 has_label '\[\]'
}

@test "sockets that systemd handed over are served" {
	configure '{}'
	daemon_signal TERM
	python3 - "$DIR/handed.sock" "$WHERRYD" --data-root "$DIR/data" --exec-root "$DIR/run" -H fd:// --bridge "$BRIDGE" \
		--config-file "$DIR/daemon.json" --cgroup-parent "wherry-test-$TAG" >>"$DIR/daemon.log" 2>&1 3>&- <<-'PY' &
		import os, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.bind(sys.argv[1])
		s.listen()
		os.dup2(s.fileno(), 3)
		os.set_inheritable(3, True)
		os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
		os.execv(sys.argv[2], sys.argv[2:])
	PY
	echo $! >"$DIR/daemon.pid"
	eventually 10 curl -sf --unix-socket "$DIR/handed.sock" http://d/_ping
	daemon_signal TERM
	[ -S "$DIR/handed.sock" ]
	run "$WHERRYD" -H fd:// --data-root "$DIR/data" --exec-root "$DIR/run" --bridge "$BRIDGE" --config-file "$DIR/daemon.json"
	[ "$status" = 1 ]
	[[ "$output" == *"no sockets were handed over"* ]]
	daemon_start
}

@test "what is wrong is named, with its place" {
	configure '{"storage-drivr": "x"}'
	run "$WHERRYD" --validate --config-file "$DIR/daemon.json"
	[ "$status" = 1 ]
	[[ "$output" == *"$DIR/daemon.json: unknown setting \"storage-drivr\""* ]]
	configure '{"hosts": ["unix:///tmp/x"]}'
	run "$WHERRYD" --validate --config-file "$DIR/daemon.json" -H unix:///tmp/y
	[[ "$output" == *"specified both as a flag and in the configuration file: hosts"* ]]
	configure '{}'
	run "$WHERRYD" --validate --config-file "$DIR/daemon.json"
	[ "$output" = "configuration OK" ]
}
