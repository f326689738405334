# A service that is replaced while it serves: by the engine's take-over, and by compose.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	daemon_setup
	busybox_image
	export PORT
	PORT=$(free_port)
}

teardown_file() {
	daemon_teardown
}

setup() {
	P=$DIR/p
	rm -rf "$P"
	mkdir -p "$P"
	cd "$P"
}

teardown() {
	"$WHERRY" compose --profile '*' down -v -t 0 --remove-orphans >/dev/null 2>&1 || true
	"$WHERRY" rm -f -v $("$WHERRY" ps -aq) >/dev/null 2>&1 || true
	"$WHERRY" network rm tn >/dev/null 2>&1 || true
}

# NAME, further arguments of run: a container of network tn, alias web, that says its name at the port.
server() {
	local name=$1
	shift
	"$WHERRY" run -d --init --name "$name" --network tn --network-alias web -p "127.0.0.1:$PORT:80" "$@" bb \
		sh -c "echo $name >/tmp/index.html; exec httpd -f -p 80 -h /tmp"
}

says() { # TEXT
	[ "$(curl -s -m 5 "http://127.0.0.1:$PORT/index.html")" = "$1" ]
}

address_of() {
	"$WHERRY" inspect --format '{{(index .NetworkSettings.Networks "tn").IPAddress}}' "$1"
}

# The name web has the addresses of these containers.
web_is() {
	local want
	want=$(for name in "$@"; do address_of "$name"; done | sort)
	[ "$("$WHERRY" exec asker nslookup web 127.0.0.11 | sed -n 's/^Address: *\([0-9.]*\)$/\1/p' | grep -v '^127' | sort)" = "$want" ]
}

@test "a container that replaces another one waits for its ports and names, and takes them over" {
	"$WHERRY" network create tn
	old=$(server old-one)
	"$WHERRY" run -d --init --name asker --network tn bb sleep 1000
	run ! server other-one # without the label it is Docker's error
	[[ "$output" == *"port is already allocated"* ]]
	server new-one --label "wherry.replaces=$old"
	eventually 5 says old-one
	web_is old-one
	[ -z "$("$WHERRY" port new-one)" ]
	[ "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$SOCK" -X POST "http://d/wherry/v1/containers/new-one/takeover?from=old-one")" = 204 ]
	says new-one
	web_is new-one
	[ "$("$WHERRY" port new-one)" = "80/tcp -> 127.0.0.1:$PORT" ]
	[ -z "$("$WHERRY" port old-one)" ]
	# and back
	curl -s --unix-socket "$SOCK" -X POST "http://d/wherry/v1/containers/old-one/takeover?from=new-one"
	says old-one
	web_is old-one
	# the daemon comes back and knows who waits
	daemon_signal TERM
	daemon_start
	says old-one
	# the other ends
	"$WHERRY" stop -t 0 old-one
	says new-one
	web_is new-one
	[ "$("$WHERRY" port new-one)" = "80/tcp -> 127.0.0.1:$PORT" ]
	curl -s --unix-socket "$SOCK" http://d/wherry/v1/containers/new-one/sockets | grep -q '"Listening":\[.*80.*\],"Connections":'
	[ "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$SOCK" -X POST "http://d/wherry/v1/containers/new-one/takeover?from=old-one")" = 409 ]
}
