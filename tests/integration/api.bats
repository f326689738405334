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

@test "what cannot be run fails in dockerd's words, with its codes" {
	replay failures
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

said() { # SINCE ACTION
	api GET "/events?since=$1&until=$(($(date +%s) + 1))&filters={\"container\":[\"probed\"]}" -g | jq -r .Action | grep -qxF "$2"
}

@test "a probe of a health check is told as any exec" {
	local since
	since=$(date +%s)
	"$WHERRY" run -d --name probed --health-cmd 'exit 0' --health-interval 100ms --stop-signal KILL bb sleep 1000
	eventually 20 said "$since" exec_die
	said "$since" 'exec_create: /bin/sh -c exit 0'
	said "$since" 'exec_start: /bin/sh -c exit 0'
	"$WHERRY" rm -f probed
}

late_and_early() {
	api GET /containers/probed/json | jq -r '.State.Health.Log[].Output' | grep -qxF 'Health check exceeded timeout (1s): early'
}

@test "a probe that takes too long says what it had said" {
	"$WHERRY" run -d --name probed --health-cmd 'echo early; exec sleep 1000' --health-timeout 1s --health-interval 100ms --stop-signal KILL bb sleep 1000
	eventually 30 late_and_early
	"$WHERRY" rm -f probed
}

# Upgrades a POST, types, and reads until the engine hangs up.
type_into() { # PATH BODY KEYS
	python3 - "$SOCK" "$@" <<'PY'
import socket, sys
sock, path, body, keys = sys.argv[1:]
s = socket.socket(socket.AF_UNIX)
s.settimeout(100)
s.connect(sock)
s.sendall(f"POST /v1.45{path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
          f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
assert b" 101 " in s.recv(4096)
s.sendall(keys.encode().decode("unicode_escape").encode())
while s.recv(4096):
    pass
PY
}

exec_runs() {
	[ "$(api GET "/exec/$1/json" | jq .Running)" = true ]
}

@test "the keys that detach end the stream and nothing else" {
	local x since
	since=$(date +%s)
	api POST '/containers/create?name=keys' -H 'Content-Type: application/json' \
		-d '{"Image":"bb","Cmd":["cat"],"Tty":true,"OpenStdin":true,"StopSignal":"SIGKILL"}' >/dev/null
	api POST /containers/keys/start
	type_into '/containers/keys/attach?stream=1&stdin=1&stdout=1' '' 'ab\x10\x11'
	type_into '/containers/keys/attach?stream=1&stdin=1&stdout=1&detachKeys=x,y' '' 'ab\x10\x11xy'
	x=$(api POST /containers/keys/exec -H 'Content-Type: application/json' \
		-d '{"Cmd":["cat"],"Tty":true,"AttachStdin":true,"AttachStdout":true,"DetachKeys":"ctrl-a"}' | jq -r .Id)
	type_into "/exec/$x/start" '{"Tty":true}' 'ab\x01'
	eventually 10 exec_runs "$x" # the keys may have been read before it did
	[ "$(api GET /containers/keys/json | jq .State.Running)" = true ]
	run api GET "/events?since=$since&until=$(($(date +%s) + 1))&filters={\"container\":[\"keys\"]}" -g
	[ "$(grep -c '"Action":"detach"' <<<"$output")" -eq 2 ]
	[ "$(grep -c '"Action":"exec_detach"' <<<"$output")" -eq 1 ]
	run api POST '/containers/keys/attach?stream=1&detachKeys=nonsense'
	[[ "$output" == *'Invalid detach keys (nonsense) provided'* ]]
	api DELETE '/containers/keys?force=1'
}

kept() { # METHOD NAME CURL-ARGUMENTS...: the status
	api "$1" "/wherry/v1/projects/$2" -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' "${@:3}"
}

@test "a kept project outlives the daemon, and what is none is refused" {
	[ "$(kept PUT shop -d '{"name":"shop","config":{"services":{"a":{"image":"x"}}},"config_files":["/c.yaml"]}')" = 201 ]
	[ "$(kept PUT shop -d '{"name":"shop","config":{"services":{"b":{"image":"x"}}},"config_files":["/c.yaml"]}')" = 204 ]
	[ "$(kept PUT shop -d '{"name":"shop","config":[]}')" = 400 ]
	[ "$(kept PUT .. -d '{"name":"..","config":{}}' --path-as-is)" = 400 ]
	[ "$(kept PUT a%2fb -d '{"name":"a/b","config":{}}')" = 400 ]
	head -c 5000000 /dev/zero | tr '\0' ' ' >"$DIR/large"
	[[ "$(kept PUT shop --data-binary @"$DIR/large")" == 4* ]]
	daemon_signal KILL
	daemon_start
	[ "$(api GET /wherry/v1/projects | jq -c '.[] | [.name, .config_files, .config]')" = '["shop",["/c.yaml"],null]' ]
	[ "$(api GET /wherry/v1/projects/shop | jq -c .config)" = '{"services":{"b":{"image":"x"}}}' ]
	[ "$(kept DELETE shop)" = 204 ]
	[ "$(kept GET shop)" = 404 ]
	[ "$(kept DELETE shop)" = 404 ]
}
