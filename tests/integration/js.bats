# dockerode and testcontainers, as npm has them, against our socket: tests/integration/js/test/*.js.
bats_require_minimum_version 1.5.0
load lib.bash

# Node can run what the lock file names: 20.18 or newer.
node_is_new() {
	node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 18) ? 0 : 1)' 2>/dev/null
}

# The packages of the lock file, below the build directory; once.
install_packages() {
	local from=$BATS_TEST_DIRNAME/js
	mkdir -p "$JS"
	if [ -d "$JS/node_modules" ] && cmp -s "$from/package-lock.json" "$JS/package-lock.json"; then
		return 0
	fi
	rm -rf "$JS/node_modules"
	cp "$from"/package.json "$from"/package-lock.json "$from"/.npmrc "$JS/"
	(cd "$JS" && timeout 180 npm ci --ignore-scripts --no-progress) >"$JS/npm.log" 2>&1 || { rm -rf "$JS/node_modules" && return 1; }
}

setup_file() {
	export JS=$BUILD/js
	local missing=
	if ! node_is_new; then
		missing="Node 20.18 or newer is not here"
	elif ! command -v npm >/dev/null; then
		missing="npm is not here"
	elif ! install_packages; then
		missing="npm ci fails: $(tail -1 "$JS/npm.log")"
	fi
	if [ -n "$missing" ]; then
		skip_all "$missing"
		return 0
	fi
	rm -rf "$JS/test" && cp -r "$BATS_TEST_DIRNAME/js/test" "$JS/"
	daemon_setup
	busybox_image
	use_compose
	export TESTCONTAINERS_RYUK_DISABLED=true TESTCONTAINERS_REUSE_ENABLE=true
}

setup() {
	skip_if_all
}

# testcontainers calls "docker compose".
use_compose() {
	local plugin docker
	docker=$(docker_cli)
	plugin=$(docker_compose) && [ -x "$docker" ] || return 0
	mkdir -p "$DOCKER_CONFIG/cli-plugins"
	ln -s "$plugin" "$DOCKER_CONFIG/cli-plugins/docker-compose"
	export WITH_COMPOSE=1 PATH=$(dirname "$docker"):$PATH
}

teardown_file() {
	daemon_teardown
}

# Every test of the file, each with a limit of its own so that what hangs has a name.
node_tests() {
	cd "$JS" || return 1
	timeout 500 node --test --test-reporter spec --test-timeout 240000 "test/$1.test.js" 3>&- 4>&-
}

@test "dockerode" {
	run node_tests dockerode
	[ "$status" -eq 0 ] || fail "$output"
}

@test "testcontainers" {
	run node_tests testcontainers
	[ "$status" -eq 0 ] || fail "$output"
}
