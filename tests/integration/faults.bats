# Full disks, killed workers, killed clients, a killed daemon in the middle of work: a clear error, nothing left, and it can be repeated.
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

# A build whose second step does not end by itself; a number of seconds of its own finds its process.
endless_build() {
	marker=9$((RANDOM))$((RANDOM))
	mkdir -p "$DIR/endless"
	printf 'FROM bb\nRUN echo begun && sleep %s\n' $marker >"$DIR/endless/Dockerfile"
}

tmp_is_empty() {
	[ -z "$(find "$DIR/data/tmp" "$DIR/data/layers/tmp" -mindepth 1)" ]
}

build_leftovers() {
	pgrep -f "sleep $marker" >/dev/null && echo process
	find "$DIR/data/tmp" "$DIR/data/layers/tmp" -mindepth 1 2>/dev/null
	find /sys/fs/cgroup -path "*/wherry-test-$TAG/*" -type d 2>/dev/null
	ip -o link show master "$BRIDGE" 2>/dev/null
	grep "$DIR/" /proc/mounts
	return 0
}

no_build_leftovers() {
	[ -z "$(build_leftovers)" ] || {
		build_leftovers
		return 1
	}
}

@test "killing the client of a build ends the build" {
	endless_build
	"$WHERRY" build "$DIR/endless" >"$DIR/out" 2>&1 &
	client=$!
	eventually 10 pgrep -f "sleep $marker"
	kill -9 $client
	eventually 10 no_build_leftovers
	[ -z "$(w images -q -f dangling=true)" ]
}

@test "killing the worker of a build fails the build and leaves nothing" {
	endless_build
	"$WHERRY" build "$DIR/endless" >"$DIR/out" 2>&1 &
	client=$!
	eventually 10 pgrep -f "sleep $marker"
	pkill -KILL -P "$(cat "$DIR/daemon.pid")" -x wherry-worker
	run wait $client
	[ "$status" -ne 0 ]
	eventually 10 no_build_leftovers
}

@test "killing the daemon in a build leaves nothing after its next start" {
	endless_build
	"$WHERRY" build "$DIR/endless" >"$DIR/out" 2>&1 &
	eventually 10 pgrep -f "sleep $marker"
	daemon_signal KILL
	daemon_start
	eventually 10 no_build_leftovers
	printf 'FROM bb\nRUN echo fine\n' >"$DIR/endless/Dockerfile"
	w build "$DIR/endless"
}

@test "a full disk fails an import and a build, in words; with room they succeed" {
	(
		DIR=$(mktemp -d /tmp/wherry-test.XXXXXX)
		mkdir "$DIR/data"
		mount -t tmpfs -o size=40m none "$DIR/data"
		trap daemon_teardown EXIT
		TAG=$(basename "$DIR" | tr -dc 'a-zA-Z0-9' | tail -c 6)
		SOCK=$DIR/wherry.sock BRIDGE=wt$TAG WHERRY_HOST=unix://$DIR/wherry.sock
		export TAG SOCK BRIDGE WHERRY_HOST DIR
		echo '{}' >"$DIR/daemon.json"
		daemon_start
		busybox_image

		head -c 60000000 /dev/urandom >"$DIR/big"
		tar -C "$DIR" -cf "$DIR/big.tar" big
		run w import "$DIR/big.tar" toobig
		[ "$status" -ne 0 ] || fail "the import succeeded"
		[[ "$output" == *"no space left on device"* ]] || [[ "$output" == *"No space left on device"* ]] || fail "$output"
		eventually 5 tmp_is_empty

		mkdir "$DIR/ctx"
		printf 'FROM bb\nRUN head -c 60000000 /dev/zero | tr "\\0" x > /big\n' >"$DIR/ctx/Dockerfile"
		run w build "$DIR/ctx"
		[ "$status" -ne 0 ] || fail "the build succeeded"
		[[ "${output,,}" == *"no space left on device"* ]] || fail "$output"
		eventually 5 tmp_is_empty

		mkdir "$DIR/sent"
		printf 'FROM bb\nCOPY . /c\n' >"$DIR/sent/Dockerfile"
		ln "$DIR/big" "$DIR/sent/big"
		run w build "$DIR/sent"
		[ "$status" -ne 0 ] || fail "the build succeeded"
		[[ "${output,,}" == *"big"*"no space left on device"* ]] || fail "$output"
		eventually 5 tmp_is_empty
		run find "$DIR/data/build-cache/contexts" -name big
		[ -z "$output" ] || fail "$output"

		[ "$(w run --rm bb echo works)" = works ]
		mount -o remount,size=300m "$DIR/data"
		w import "$DIR/big.tar" fits
		w build "$DIR/ctx"
		w build -t sent "$DIR/sent"
		w run --rm sent cat /c/big | cmp - "$DIR/big"
	)
}

@test "a full disk stops neither a container nor its daemon" {
	(
		DIR=$(mktemp -d /tmp/wherry-test.XXXXXX)
		mkdir "$DIR/data"
		mount -t tmpfs -o size=20m none "$DIR/data"
		trap daemon_teardown EXIT
		TAG=$(basename "$DIR" | tr -dc 'a-zA-Z0-9' | tail -c 6)
		SOCK=$DIR/wherry.sock BRIDGE=wt$TAG WHERRY_HOST=unix://$DIR/wherry.sock
		export TAG SOCK BRIDGE WHERRY_HOST DIR
		echo '{}' >"$DIR/daemon.json"
		daemon_start
		busybox_image
		w run -d --name filler bb sh -c 'cat /dev/zero >/fill; while :; do echo alive; sleep 0.2; done'
		eventually 10 sh -c "df '$DIR/data' | grep -q 100%"
		sleep 0.5
		[ "$(w inspect -f '{{.State.Running}}' filler)" = true ] || fail "it stopped"
		run w run -d --name second bb sleep 1000
		[ "$status" -ne 0 ] || w rm -f second
		w rm -f filler
		[ "$(w run --rm bb echo works)" = works ]
	)
}

@test "a body that breaks off leaves no layer" {
	head -c 1000000 "$DIR/bb.tar" >"$DIR/half.tar"
	run w import "$DIR/half.tar" half
	[ "$status" -ne 0 ]
	eventually 5 tmp_is_empty
	echo 'not an archive at all' >"$DIR/text"
	run w load -i "$DIR/text"
	[ "$status" -ne 0 ]
	run w import "$DIR/text" text
	[ "$status" -ne 0 ]
	eventually 5 tmp_is_empty
	[ "$(w images -q | sort -u | wc -l)" -ge 1 ]
}
