# The command line: at a terminal, in a shell's completion, and word for word beside the docker CLI.

load lib

setup_file() {
	daemon_setup
	busybox_image
}

teardown_file() {
	[ ! -s "$DIR/tls.pid" ] || kill "$(cat "$DIR/tls.pid")" 2>/dev/null || true
	daemon_teardown
}

@test "the same words as docker" {
	docker=$(docker_cli)
	[ -x "$docker" ] || skip "no docker CLI"
	version=$("$docker" --version)
	[[ $version == *" 28."* ]] || skip "recorded for docker 28: $version"
	python3 "$ROOT/tests/integration/cli_same.py" "$WHERRY" "$docker" "unix://$SOCK" \
		'^(ps|images|inspect|history|network (ls|rm)|volume (ls|rm)|context|version|exec|run -|rename|system df|-)'
}

@test "system df -v takes a template" {
	[ "$("$WHERRY" system df -v --format '{{range .Images}}{{if eq .Repository "bb"}}{{.Tag}} {{.Containers}}{{end}}{{end}}')" = 'latest 0' ]
	"$WHERRY" system df -v --format json | jq -e 'keys_unsorted == ["Images", "Containers", "Volumes", "BuildCache"]'
	run "$WHERRY" system df -v --format '{{.Nope}}'
	[ "$status $output" = "1 template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type *formatter.diskUsageContext" ]
}

@test "bash completes commands, flags, values and names" {
	"$WHERRY" run -d --name completed bb sleep 1000
	"$WHERRY" network create completed-net
	PATH=$(dirname "$WHERRY"):$PATH
	source <("$WHERRY" completion bash)
	complete_line() {
		COMP_LINE=$1 COMP_POINT=${#1} COMPREPLY=()
		_wherry
		printf '%s\n' "${COMPREPLY[@]}"
	}
	compopt() { :; } # outside of a completion
	[ "$(complete_line 'wherry vol')" = volume ]
	[ "$(complete_line 'wherry container prun')" = prune ]
	[ "$(complete_line 'wherry run --cap-a')" = --cap-add ]
	[ "$(complete_line 'wherry run --pull=al')" = always ]
	[ "$(complete_line 'wherry stop compl')" = completed ]
	[ "$(complete_line 'wherry start compl')" = "" ] # it runs
	[ "$(complete_line 'wherry run --rm b')" = bb ]
	[ "$(complete_line 'wherry run --network completed')" = completed-net ]
	[ "$(complete_line 'wherry network connect completed-net comp')" = completed ]
	[ "$(complete_line 'wherry ps --filter anc')" = ancestor= ]
	[ "$(complete_line "wherry -H unix://$SOCK rm compl")" = completed ]
	[ "$(complete_line 'wherry -H unix:///nowhere rm compl' 2>&1)" = "" ] # silent
	[[ $(complete_line 'wherry compose u') == *up* ]]
	"$WHERRY" rm -f completed
	"$WHERRY" network rm completed-net
}

@test "terminals are given back as they were" {
	python3 "$ROOT/tests/integration/cli_terminal.py" "$WHERRY" "unix://$SOCK" "$(cat "$DIR/daemon.pid")"
	daemon_start # the last of them kills it
}

@test "an engine behind ssh" {
	mkdir -p "$DIR/bin"
	cat >"$DIR/bin/ssh" <<-END
		#!/bin/sh
		echo "\$@" >"$DIR/ssh.words"
		while [ "\$1" != -- ]; do shift; done
		export WHERRY_HOST=unix://$SOCK PATH="$(dirname "$WHERRY"):\$PATH"
		shift 2
		exec sh -c "\$*"
	END
	chmod +x "$DIR/bin/ssh"
	PATH=$DIR/bin:$PATH run "$WHERRY" -H ssh://me@box:2222 run --rm bb sh -c 'echo over ssh; exit 4'
	[ "$status" -eq 4 ] && [ "$output" = "over ssh" ]
	grep -q -- '-l me -p 2222 -- box ' "$DIR/ssh.words"
}

@test "an engine behind TLS" {
	local tls=$DIR/tls engine
	mkdir -p "$tls"
	python3 "$ROOT/tests/integration/tls_engine.py" "$SOCK" "$tls" 3>&- &
	echo $! >"$DIR/tls.pid"
	eventually 20 test -s "$tls/port"
	engine=tcp://127.0.0.1:$(cat "$tls/port")
	w() { env -u WHERRY_HOST -u DOCKER_HOST "$WHERRY" "$@"; }

	# by flags and by environment; streams both ways, the end of stdin and the exit status
	w -H "$engine" --tlsverify --tlscacert "$tls/ca.pem" --tlscert "$tls/cert.pem" --tlskey "$tls/key.pem" version --format '{{.Server.Version}}'
	export DOCKER_CERT_PATH=$tls DOCKER_TLS_VERIFY=1
	[ "$(printf 'a\nb\n' | w -H "$engine" run --rm -i bb wc -l)" -eq 2 ]
	run w -H "$engine" run --rm bb sh -c 'head -c 3000000 /dev/zero | tr "\0" x; exit 7'
	[ "$status" -eq 7 ]
	[ "${#output}" -eq 3000000 ]

	# the wrong authority, another name, no certificate of ours
	run w -H "$engine" --tlscacert "$tls/other-ca.pem" ps
	[ "$status" -ne 0 ]
	[[ "$output" == *"failed to verify the certificate of 127.0.0.1"* ]] || fail "$output"
	run w -H "${engine/127.0.0.1/localhost}" ps
	[ "$status" -ne 0 ]
	[[ "$output" == *"failed to verify the certificate of localhost: "*ismatch* ]] || fail "$output"
	mkdir "$tls/alone"
	cp "$tls/ca.pem" "$tls/alone"
	DOCKER_CERT_PATH=$tls/alone run w -H "$engine" ps
	[ "$status" -ne 0 ]
	DOCKER_CERT_PATH=$tls/nothing run w -H "$engine" ps
	[[ "$output" == *"could not read CA certificate \"$tls/nothing/ca.pem\""* ]] || fail "$output"

	# without verification any authority will do
	unset DOCKER_TLS_VERIFY
	w -H "${engine/127.0.0.1/localhost}" --tls ps
	unset DOCKER_CERT_PATH

	# a docker context keeps its own
	local id
	id=$(printf over | sha256sum | cut -d' ' -f1)
	mkdir -p "$DOCKER_CONFIG/contexts/meta/$id" "$DOCKER_CONFIG/contexts/tls/$id/docker"
	cp "$tls"/{ca,cert,key}.pem "$DOCKER_CONFIG/contexts/tls/$id/docker"
	echo "{\"Name\":\"over\",\"Metadata\":{},\"Endpoints\":{\"docker\":{\"Host\":\"$engine\",\"SkipTLSVerify\":false}}}" \
		>"$DOCKER_CONFIG/contexts/meta/$id/meta.json"
	w --context over ps
	kill "$(cat "$DIR/tls.pid")"
}

# A loop device of this test's own: a real uevent, a node and an entry in sysfs.
loop_device() { # add|remove NUMBER
	python3 - "$@" <<'E'
import fcntl, sys
with open("/dev/loop-control", "rb+", 0) as f:
    fcntl.ioctl(f, {"add": 0x4C80, "remove": 0x4C81}[sys.argv[1]], int(sys.argv[2]))
E
}

device_known() {
	"$WHERRY" device inspect "$1" >/dev/null 2>&1
}

device_unknown() {
	! device_known "$1"
}

@test "device: what comes and goes is listed, watched, and seen with those who ask for it" {
	[ -c /dev/loop-control ] || skip "no loop devices"
	local n=$((20000 + BASHPID % 10000)) watch
	"$WHERRY" create --name asks --label "wherry.device.disk=/dev/loop$n,as=/dev/disk" bb true
	"$WHERRY" device watch --format '{{.action}} {{.device.node}}' >"$DIR/watch" 3>&- &
	watch=$!
	eventually 10 grep -q devices/events "$DIR/daemon.log"
	loop_device add "$n"
	eventually 10 grep -qx "add /dev/loop$n" "$DIR/watch"
	[ "$("$WHERRY" device ls --format '{{.Device}} {{.Number}} {{.Rules}}' | grep "loop$n ")" = "/dev/loop$n b 7:$n asks/disk" ]
	[ "$("$WHERRY" device inspect -f '{{(index .uses 0).path}} {{(index .uses 0).has}}' "loop$n")" = "/dev/disk false" ]
	loop_device remove "$n"
	eventually 10 grep -qx "remove /dev/loop$n" "$DIR/watch"
	kill "$watch"
	"$WHERRY" rm asks
	run "$WHERRY" device inspect "/dev/loop$n"
	[ "$status" -eq 1 ]
	[[ $output == *"no such device: /dev/loop$n"* ]]
}

@test "device: what was missed because messages were lost is found by a look at everything" {
	[ -c /dev/loop-control ] || skip "no loop devices"
	local n=$((30000 + BASHPID % 10000)) pid
	pid=$(cat "$DIR/daemon.pid")
	eventually 10 device_known null
	kill -STOP "$pid"
	python3 - <<'E'
import socket
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
for _ in range(600):  # more than its socket holds
    try:
        s.sendto(b"libudev\0" + bytes(8000), (0, 2))
    except OSError:
        pass
E
	loop_device add "$n"
	kill -CONT "$pid"
	eventually 10 device_known "loop$n"
	grep -q messages_lost "$DIR/daemon.log"
	loop_device remove "$n"
	eventually 10 device_unknown "loop$n"
}
