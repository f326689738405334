# BuildKit's protocol: docker's older CLI, buildx and compose where they are, and a gRPC client of another make.
bats_require_minimum_version 1.5.0
load lib.bash

# The first that is there: a plugin's name, or nothing.
plugin() { # NAME
	local dir
	for dir in "${DOCKER_PLUGINS:-}" /usr/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins \
		/var/tmp/ref-trixie/usr/libexec/docker/cli-plugins; do
		if [ -x "$dir/$1" ] && "$dir/$1" version >/dev/null 2>&1; then
			echo "$dir/$1"
			return 0
		fi
	done
	true
}

# docker's CLI before 23, which sends POST /build?version=2.
docker_with_buildkit() {
	local cli
	for cli in /usr/bin/docker "$BUILD/docker-cli/usr/bin/docker"; do
		if [ -x "$cli" ] && "$cli" --version | grep -q ' 20\.10'; then
			echo "$cli"
			return 0
		fi
	done
	true
}

setup_file() {
	export DOCKER20 BUILDX COMPOSE
	DOCKER20=$(docker_with_buildkit)
	BUILDX=$(plugin docker-buildx)
	COMPOSE=$(plugin docker-compose)
	daemon_setup
	busybox_image
	mkdir "$DIR/ctx" "$DIR/bad"
	printf '# syntax=docker/dockerfile:1\nFROM bb\nCOPY f /f\nRUN cat /f && echo "ran here"\n' >"$DIR/ctx/Dockerfile"
	echo from-the-context >"$DIR/ctx/f"
	printf 'FROM bb\nRUN echo before; exit 3\nRUN after\n' >"$DIR/bad/Dockerfile"
	export SLEEP="sleep 100$$" # no other test's
	printf 'FROM bb\nRUN echo begun; %s\n' "$SLEEP" >"$DIR/bad/Sleeper"
	tar -C "$DIR/ctx" -cf "$DIR/ctx.tar" .
	printf 'services:\n  a:\n    build: ctx\n    command: cat /f\n' >"$DIR/compose.yaml"
}

teardown_file() {
	daemon_teardown
}

relay() { # TEST of buildkit_relay.py
	/usr/bin/python3 -c 'import grpc' 2>/dev/null || skip "no python3-grpcio"
	run timeout 300 /usr/bin/python3 -B "$BATS_TEST_DIRNAME/buildkit_relay.py" "$SOCK" "$1"
	[ "$status" -eq 0 ] || fail "$output"
}

needs() { # NAME PROGRAM
	[ -n "$2" ] || skip "no $1"
}

gateway_pid() {
	pgrep -P "$(cat "$DIR/daemon.pid")" -f 'wherry-worker buildkit'
}

sleeps() {
	pgrep -f "^$SLEEP\$" >/dev/null
}

no_sleeps() {
	! sleeps
}

@test "what is no upgrade to h2c is refused" {
	run curl -s -i --unix-socket "$SOCK" -X POST http://d/grpc
	[[ $output == *" 500 "*"no upgrade proto in request"* ]] || fail "$output"
	run curl -s -i --unix-socket "$SOCK" -X POST -H 'Connection: Upgrade' -H 'Upgrade: tcp' http://d/v1.41/session
	[[ $output == *" 400 "*"protocol tcp not supported"* ]] || fail "$output"
	run curl -s -i --unix-socket "$SOCK" http://d/_ping
	[[ $output == *"Builder-Version: 2"* ]] || fail "$output"
}

@test "a build of version 2 that fails early fails in its stream, as dockerd's" {
	run curl -s -w '%{http_code}' --unix-socket "$SOCK" -X POST -H 'Content-Type: application/x-tar' --data-binary "@$DIR/ctx.tar" \
		'http://d/v1.41/build?version=2&dockerfile=none'
	[[ $output == *'"errorDetail":{'*'Cannot locate specified Dockerfile: none'*200 ]] || fail "$output"
}

@test "gRPC of another make: workers and versions" {
	relay workers
}

@test "gRPC of another make: Control.Solve, its status and its session" {
	relay solve
	"$WHERRY" inspect kit:solved >/dev/null
}

@test "gRPC of another make: a frontend function returns a result" {
	relay bridge
	"$WHERRY" inspect kit:bridged >/dev/null
}

@test "gRPC of another make: failures have words and places" {
	relay failures
	relay returned_error
}

@test "gRPC of another make: a client that cancels or goes ends its build" {
	relay cancel
	eventually 20 sh -c '! pgrep -f "[s]leep 100000$"'
}

@test "gRPC of another make: a thousand calls" {
	relay crowd
}

@test "clients that are no good are dropped, the next is served by the same process" {
	local before
	run curl -s -m 1 --unix-socket "$SOCK" -X POST -H 'Connection: Upgrade' -H 'Upgrade: h2c' http://d/grpc
	eventually 10 gateway_pid
	before=$(gateway_pid)
	run timeout 300 /usr/bin/python3 -B "$BATS_TEST_DIRNAME/buildkit_hostile.py" "$SOCK"
	[ "$status" -eq 0 ] || fail "$output"
	[ "$(gateway_pid)" = "$before" ] || fail "$(grep buildkit-ended "$DIR/daemon.log")"
	relay workers
}

@test "the process ends when nobody is there, and the next one takes who came meanwhile" {
	run timeout 100 /usr/bin/python3 -B "$BATS_TEST_DIRNAME/buildkit_idle.py" "$BUILD"
	[ "$status" -eq 0 ] || fail "$output"
}

@test "a process that was killed is started again by the next connection" {
	run curl -s -m 1 --unix-socket "$SOCK" -X POST -H 'Connection: Upgrade' -H 'Upgrade: h2c' http://d/grpc
	eventually 10 gateway_pid
	kill -KILL "$(gateway_pid)"
	relay workers
}

@test "docker 20.10 with BuildKit: a context by session, quiet, on stdin" {
	needs "docker 20.10" "$DOCKER20"
	export DOCKER_BUILDKIT=1
	run "$DOCKER20" build --progress=plain -t kit:cli --iidfile "$DIR/iid" "$DIR/ctx"
	[ "$status" -eq 0 ] || fail "$output"
	[[ $output == *"ran here"* ]] || fail "$output"
	[ "$("$WHERRY" inspect -f '{{.Id}}' kit:cli)" = "$(cat "$DIR/iid")" ]
	run "$DOCKER20" build -q "$DIR/ctx"
	[ "$output" = "$(cat "$DIR/iid")" ] || fail "$output"
	"$DOCKER20" build -t kit:stdin - <"$DIR/ctx.tar"
	"$DOCKER20" build -t kit:file -f - "$DIR/ctx" <"$DIR/ctx/Dockerfile"
	"$WHERRY" run --rm kit:stdin cat /f | grep -qx from-the-context
	"$WHERRY" run --rm kit:file cat /f | grep -qx from-the-context
}

@test "docker 20.10 uses BuildKit by itself, and says what failed" {
	needs "docker 20.10" "$DOCKER20"
	unset DOCKER_BUILDKIT
	run "$DOCKER20" build --progress=plain "$DIR/bad"
	[ "$status" -eq 1 ] || fail "$status $output"
	[[ $output == *"before"*"exit code: 3"* ]] || fail "$output"
}

@test "docker 20.10: a build that is interrupted ends" {
	needs "docker 20.10" "$DOCKER20"
	DOCKER_BUILDKIT=1 "$DOCKER20" build -f "$DIR/bad/Sleeper" "$DIR/bad" >"$DIR/out" 2>&1 3>&- &
	local client=$!
	eventually 20 sleeps
	kill -INT "$client"
	wait "$client" || true
	eventually 20 no_sleeps
}

@test "buildx builds, shows the place of an error, reports what is used" {
	needs buildx "$BUILDX"
	run "$BUILDX" build --progress=plain -t kit:buildx --iidfile "$DIR/iid" "$DIR/ctx"
	[ "$status" -eq 0 ] || fail "$output"
	[[ $output == *"[2/3] COPY f /f"* ]] || fail "$output"
	[ "$("$WHERRY" inspect -f '{{.Id}}' kit:buildx)" = "$(cat "$DIR/iid")" ]
	run "$BUILDX" build --progress=plain "$DIR/bad"
	[ "$status" -eq 1 ] || fail "$status $output"
	[[ $output == *"2 | >>> RUN echo before; exit 3"* ]] || fail "$output"
	"$BUILDX" build -q -t kit:stdinx - <"$DIR/ctx.tar"
	run "$BUILDX" build --build-arg BUILDKIT_SYNTAX=other/frontend:1 "$DIR/ctx"
	[[ $status -ne 0 && $output == *"other/frontend:1 cannot be run"* ]] || fail "$output"
	"$BUILDX" du | grep -q Total
	"$BUILDX" prune -f
}

@test "buildx: a build that is interrupted, or whose client is killed, ends" {
	needs buildx "$BUILDX"
	for signal in INT KILL; do
		"$BUILDX" build -f "$DIR/bad/Sleeper" "$DIR/bad" >"$DIR/out" 2>&1 3>&- &
		local client=$!
		eventually 20 sleeps
		kill "-$signal" "$client"
		wait "$client" || true
		eventually 20 no_sleeps
	done
}

@test "compose builds what it runs" {
	needs "compose 2" "$COMPOSE"
	run "$COMPOSE" -f "$DIR/compose.yaml" -p "kit${TAG,,}" up --build
	[ "$status" -eq 0 ] || fail "$output"
	[[ $output == *"from-the-context"* ]] || fail "$output"
	"$COMPOSE" -f "$DIR/compose.yaml" -p "kit${TAG,,}" down
}

@test "buildx bake: a target's result is another's context" {
	needs buildx "$BUILDX"
	mkdir -p "$DIR/bake/a" "$DIR/bake/b"
	printf 'FROM bb\nRUN echo base-file >/base\n' >"$DIR/bake/a/Dockerfile"
	printf 'FROM base\nRUN cat /base\n' >"$DIR/bake/b/Dockerfile"
	printf 'target "base" {\n  context = "a"\n}\ntarget "default" {\n  context = "b"\n  contexts = { base = "target:base" }\n  tags = ["kit:baked"]\n}\n' \
		>"$DIR/bake/docker-bake.hcl"
	cd "$DIR/bake"
	"$BUILDX" bake --progress=plain
	[ "$("$WHERRY" run --rm kit:baked cat /base)" = base-file ]
}
