# tests/integration/lib.bash - a daemon of the test's own: directories, socket and bridge that nothing else uses.
#
# Sourced by the .bats files. BUILD names the build directory (default: build at the top of the repository).
# setup_file: daemon_setup; teardown_file: daemon_teardown, which also runs when a test has failed.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$ROOT/build}
WHERRYD=$BUILD/src/wherryd/wherryd
WHERRY=${WHERRY:-$BUILD/src/wherry/wherry} # or the real docker CLI: the same tests must pass

fail() {
	echo "$*" >&2
	return 1
}

# For setup_file and setup: bats 1.8 takes a skip in setup_file for a failure.
skip_all() { # REASON
	export SKIP_ALL=$1
}

skip_if_all() {
	[ -z "${SKIP_ALL:-}" ] || skip "$SKIP_ALL"
}

# A number that no other test file has at the same time: of bridges and networks.
daemon_setup() {
	export DIR
	DIR=$(mktemp -d /tmp/wherry-test.XXXXXX)
	export TAG
	TAG=$(basename "$DIR" | tr -dc 'a-zA-Z0-9' | tail -c 6)
	export SOCK=$DIR/wherry.sock
	export BRIDGE=wt$TAG
	export WHERRY_HOST=unix://$SOCK DOCKER_HOST=unix://$SOCK
	export DOCKER_CONFIG=$DIR/docker-config
	mkdir -p "$DOCKER_CONFIG"
	echo '{}' >"$DIR/daemon.json"
	daemon_start "$@"
}

# Arguments go to wherryd.
daemon_start() {
	"$WHERRYD" --data-root "$DIR/data" --exec-root "$DIR/run" -H "unix://$SOCK" --bridge "$BRIDGE" \
		--config-file "$DIR/daemon.json" --cgroup-parent "wherry-test-$TAG" --debug "$@" \
		>>"$DIR/daemon.log" 2>&1 </dev/null 3>&- &
	echo $! >"$DIR/daemon.pid"
	for _ in $(seq 600); do
		if curl -sf --unix-socket "$SOCK" http://d/_ping >/dev/null 2>&1; then
			return 0
		fi
		kill -0 "$(cat "$DIR/daemon.pid")" 2>/dev/null || break
		sleep 0.1
	done
	tail -20 "$DIR/daemon.log" >&2
	fail "wherryd did not start"
}

daemon_signal() {
	local pid
	pid=$(cat "$DIR/daemon.pid")
	kill "-$1" "$pid" 2>/dev/null || true
	for _ in $(seq 1200); do
		kill -0 "$pid" 2>/dev/null || return 0
		sleep 0.05
	done
	fail "wherryd does not end"
}

# Ends everything that belongs to this daemon, and only that.
daemon_teardown() {
	local ids
	if [ -n "${DIR:-}" ] && [ -d "$DIR" ]; then
		if curl -sf --unix-socket "$SOCK" http://d/_ping >/dev/null 2>&1; then
			ids=$("$WHERRY" ps -aq 2>/dev/null)
			[ -z "$ids" ] || "$WHERRY" rm -f -v $ids >/dev/null 2>&1 || true
		fi
		daemon_signal TERM || daemon_signal KILL || true
		echo '{}' >"$DIR/daemon.json" # whatever a test has left there, also keys that are gone
		"$WHERRYD" --data-root "$DIR/data" --exec-root "$DIR/run" --bridge "$BRIDGE" \
			--config-file "$DIR/daemon.json" --purge-network >/dev/null 2>&1 || true
		# an nginx and shims that a failed test left: their command lines name our directory
		pkill -TERM -f -- "^nginx: master process .* $DIR/data/ingress/" 2>/dev/null || true
		pkill -KILL -f -- "--dir=$DIR/" 2>/dev/null || true
		for group in /sys/fs/cgroup/*/wherry-test-"$TAG" /sys/fs/cgroup/wherry-test-"$TAG"; do
			[ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
		done
		! mountpoint -q "$DIR/data" || umount -l "$DIR/data"
		[ -z "${KEEP:-}" ] || cp "$DIR/daemon.log" "$KEEP" || true
		rm -rf "$DIR"
	fi
}

# A small image "bb" made of Debian's static busybox.
make_busybox() {
	local root=$DIR/busybox a
	mkdir -p "$root"/{bin,etc,tmp,root,home/bob,proc,sys,dev,var/lib/seeded}
	cp /bin/busybox "$root/bin/busybox"
	for a in $(/bin/busybox --list); do
		[ "$a" = busybox ] || ln -sf busybox "$root/bin/$a"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:x:0:\nbob:x:1000:\ndialout:x:20:bob\n' >"$root/etc/group"
	echo from-image >"$root/var/lib/seeded/file"
	chown -R 1000:1000 "$root/home/bob" "$root/var/lib/seeded"
	chmod 1777 "$root/tmp"
	tar -C "$root" -cf "$DIR/bb.tar" .
}

busybox_image() {
	make_busybox
	curl -sf --unix-socket "$SOCK" -X POST -H 'Content-Type: application/x-tar' --data-binary @"$DIR/bb.tar" \
		"http://d/images/create?fromSrc=-&repo=bb&tag=latest" >/dev/null
}

# Also when nobody has reaped it yet: an orphan is for process 1 to wait for, when it likes.
process_ended() { # PID
	! grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status" 2>/dev/null
}

# Waits until the command succeeds: at most $1 seconds of an idle machine, which are more on one that compiles meanwhile.
eventually() {
	local end=$((SECONDS + 6 * $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || {
			fail "never true: $*"
			return 1 # also where the caller asks with || and nothing ends a function by itself
		}
		sleep 0.1
	done
}

# A port of the host that nobody listens on now, and that this file has not been given before. Below those that the kernel gives.
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 12000))
		ss -Htln "sport = :$port" | grep -q . || ! mkdir "$BATS_FILE_TMPDIR/port-$port" 2>/dev/null || break
	done
	echo "$port"
}

api() {
	curl -s --unix-socket "$SOCK" -X "$1" "http://d/v1.45$2" "${@:3}"
}

# The real docker CLI: the machine's, or Debian's unpacked beside the tests.
docker_cli() {
	command -v docker || echo "$BUILD/docker-cli/usr/bin/docker"
}

# docker compose, which also runs without a docker CLI: Debian 13's unpacked beside the tests, or the machine's. Fails without one.
docker_compose() {
	local one
	for one in "$BUILD"/docker-compose /usr/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins /usr/local/lib/docker/cli-plugins; do
		[ ! -x "$one/docker-compose" ] || { echo "$one/docker-compose"; return 0; }
	done
	return 1
}

# What a test must not leave behind: one word each for shims, mounts, links, rules, cgroups of this daemon.
leftovers() {
	pgrep -f -- "--dir=$DIR/run/" >/dev/null && echo shim
	grep -q "$DIR/" /proc/mounts && echo mount
	find "$DIR/run/containers" "$DIR/run/execs" "$DIR/data/containers" "$DIR/data/tmp" -mindepth 1 2>/dev/null | sed 's/^/file /'
	find /sys/fs/cgroup -path "*/wherry-test-$TAG/*" -type d 2>/dev/null | sed 's/^/cgroup /'
	ip -o link show master "$BRIDGE" 2>/dev/null | sed 's/^/link /'
	nft list table inet "wherry-$BRIDGE" 2>/dev/null | grep -E 'elements = \{ (tcp|udp)' | sed 's/^/rule /'
	return 0
}

# For eventually: removals go on in a worker after the answer.
no_leftovers() {
	[ -z "$(leftovers)" ]
}
