#!/bin/bash
# containerize.sh BUILD_DIR [CACHE_DIR] - examples/containerize from its compose file, on an engine of its own, checked from outside.
#
# Root, with a Debian mirror in reach. Starts a registry with our base images (made in CACHE_DIR, kept there) and a wherryd whose
# directories, socket and bridge nobody else has; `compose up --build`, examples/containerize/check, `compose down`; then
# nothing may be left. Uses mmdebstrap, docker-registry, skopeo, curl, openssl, nft, ip.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:?usage: containerize.sh BUILD_DIR [CACHE_DIR]}" && pwd) || exit 2
cache=${2:-/var/cache/wherry}
for tool in mmdebstrap docker-registry skopeo curl openssl nft ip; do
	command -v "$tool" >/dev/null || { echo "containerize.sh: skipped, $tool is missing"; exit 77; }
done
top=$(mktemp -d /tmp/wherry-containerize.XXXXXX)
bridge=wx$$ table=wherry-wx$$
registry_pid='' daemon_pid='' failures=0
export WHERRY=$build/src/wherry/wherry WHERRY_HOST=unix://$top/wherry.sock
unset DOCKER_HOST DOCKER_CONTEXT COMPOSE_FILE COMPOSE_PROJECT_NAME

result() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >"$top/out" 2>&1; then
		echo "ok $name"
	else
		echo "not ok $name"
		tail -n 40 "$top/out" | sed 's/^/  | /'
		failures=$((failures + 1))
		return 1
	fi
}
stop() { [ -z "$1" ] || { kill "$1" && wait "$1"; } 2>/dev/null; }

# Each bridge of a daemon says in its alias whose it is.
own_bridges() {
	local alias
	for alias in /sys/class/net/*/ifalias; do
		[ "$(cat "$alias" 2>/dev/null)" != "wherry:$bridge" ] || basename "${alias%/ifalias}"
	done
}

cleanup() {
	local ids name
	if [ -n "$daemon_pid" ] && kill -0 "$daemon_pid" 2>/dev/null; then
		ids=$("$WHERRY" ps -aq 2>/dev/null)
		# shellcheck disable=SC2086
		[ -z "$ids" ] || "$WHERRY" rm -f $ids >/dev/null 2>&1
		"$WHERRY" network rm containerize_frontend >/dev/null 2>&1
	fi
	[ "$failures" = 0 ] || tail -n 40 "$top/wherryd.log" 2>/dev/null | sed 's/^/  wherryd| /'
	stop "$daemon_pid"
	stop "$registry_pid"
	# A daemon keeps its default bridge and its table for the next one; here there is none.
	for name in $(own_bridges); do
		ip link del "$name"
	done
	nft delete table inet "$table" 2>/dev/null
	rm -rf "$top"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 12000)) # below the range of outgoing connections
		! is_free "$port" || break
	done
	echo "$port"
}
within() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

"$here/../images/make-base" "$cache" || { echo "not ok base images can be made"; exit 1; }
port=$(free_port)
"$here/../images/registry" "$cache" "$port" >"$top/registry.log" 2>&1 &
registry_pid=$!
result "the registry answers" within 60 curl -fsS --noproxy '*' "http://127.0.0.1:$port/v2/" || exit 1

echo '{}' >"$top/daemon.json"
start_daemon() {
	"$build/src/wherryd/wherryd" -H "$WHERRY_HOST" --data-root "$top/data" --exec-root "$top/run" --pidfile "$top/pid" \
		--config-file "$top/daemon.json" --bridge "$bridge" --registry-mirror "http://127.0.0.1:$port" >>"$top/wherryd.log" 2>&1 &
	daemon_pid=$!
	within 60 "$WHERRY" version
}
result "wherryd answers" start_daemon || exit 1

# The check edits the example's files: a copy.
cp -a "$here/../../examples/containerize" "$top/containerize"
cd "$top/containerize" || exit 2
find nginx/external -type f ! -name .gitkeep -delete
find nginx/external/logs -mindepth 1 -type d -exec rm -rf {} +
HTTP_PORT=$(free_port) HTTPS_PORT=$(free_port) APP_PORT=$(free_port)
export HTTP_PORT HTTPS_PORT APP_PORT
result "prepare" ./prepare || exit 1
result "compose up --build -d" "$WHERRY" compose up --build -d || exit 1
if ./check; then echo "ok check"; else echo "not ok check"; failures=$((failures + 1)); fi
result "compose up again has nothing to do" "$WHERRY" compose up -d

page() { curl -fsSk --noproxy '*' --max-time 60 "https://localhost:$HTTPS_PORT/"; }
containers() { "$WHERRY" ps --no-trunc --format '{{.ID}} {{.Names}} {{.State}}' | sort; }
before=$(containers)
kill -9 "$daemon_pid" && wait "$daemon_pid" 2>/dev/null
sleep 3 # longer than nginx keeps a name
result "the page answers while the daemon is dead" page
result "wherryd answers again" start_daemon
result "both containers run as they did" test "$(containers)" = "$before" -a "$(grep -c running <<<"$before")" = 2
result "the page answers" page

result "compose down" "$WHERRY" compose down
nothing() { # NAME TEXT
	if [ -z "$2" ]; then
		echo "ok $1"
	else
		echo "not ok $1: $2"
		failures=$((failures + 1))
	fi
}
nothing "no container is left" "$("$WHERRY" ps -aq 2>&1)"
nothing "no network of the project is left" "$("$WHERRY" network ls 2>&1 | grep containerize)"
nothing "no bridge but the default one is left" "$(own_bridges | grep -vx "$bridge")"
nothing "no published port is left" "$(nft list table inet "$table" 2>/dev/null | grep -Fw -e "$HTTP_PORT" -e "$HTTPS_PORT" -e "$APP_PORT")"
nothing "no mount is left" "$(grep -F "$top" /proc/self/mountinfo)"
nothing "no shim or worker is left" "$(pgrep -P "$daemon_pid" 2>/dev/null)$(pgrep -f "$top/run/containers" 2>/dev/null)"
[ "$failures" = 0 ]
