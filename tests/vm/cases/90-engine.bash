# The engine's own suites where they depend on the cgroup version and on systemd: tests/integration has them for the machine they run on.

engine() { # FILE REGEX: the tests of this file whose names match
	GUEST_LIMIT=900 guest FILE="$1" REGEX="$2" <<'S'
	BUILD=/run/payload/engine/build bats --tap -f "$REGEX" "/run/payload/engine/tests/integration/$FILE" >"$CASE/tap" 2>&1 || {
		cat "$CASE/tap"
		exit 1
	}
	grep -q '^ok ' "$CASE/tap"
S
}

line engine_limits "the engine on cgroup v2: limits, updates, OOM, throttling"
case_engine_limits() {
	engine stats.bats 'limits are in the kernel|memory alone allows|OOM killer is off|block devices are throttled|an update reaches|killed for memory'
}

line engine_life "the engine on cgroup v2: groups of the caller's, pause, a memory limit, devices it waits for"
case_engine_life() {
	engine container.bats 'memory limit kills|pause stops'
	engine life.bats 'control group of the caller|groups above that a start|waits for its device'
}
