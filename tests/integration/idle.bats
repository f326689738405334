# Nothing is written to a disk while containers only run and are probed: SD cards wear. The runtime directory is a
# tmpfs, as /run is; so is the log, which goes to the journal on a real machine.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	daemon_setup
	daemon_signal TERM
	mount -t tmpfs tmpfs "$DIR/run"
	mv "$DIR/daemon.log" "$DIR/run/daemon.log"
	ln -s run/daemon.log "$DIR/daemon.log"
	daemon_start
	busybox_image
}

teardown_file() {
	local ids
	[ -d "${DIR:-}" ] || return 0
	ids=$("$WHERRY" ps -aq) || true
	[ -z "$ids" ] || "$WHERRY" rm -f -v $ids >/dev/null || true
	daemon_signal TERM || true
	pkill -KILL -f -- "--dir=$DIR/" || true
	umount -l "$DIR/run" || true
	daemon_teardown
}

# Every file of the state: its size, and when it or its inode changed.
state() {
	find "$DIR/data" -printf '%P %s %T@ %C@\n' | sort
}

# What the daemon and the shims have written to disks, one line each. A parent's count has those of its children that
# have ended in it: probes, their shims and crun.
written() {
	local pid
	for pid in $(cat "$DIR/daemon.pid") $(pgrep -f -- "--dir=$DIR/run/containers"); do
		echo "$pid $(sed -n 's/^write_bytes: //p' "/proc/$pid/io")"
	done
}

probes() {
	api GET /metrics | sed -n 's/^engine_daemon_health_checks_total //p'
}

probed_until() {
	[ "$(probes)" -ge "$1" ]
}

@test "health checks, stats and metrics write nothing" {
	for name in one two three; do
		"$WHERRY" run -d --name $name --restart always --health-cmd 'echo fine' --health-interval 300ms bb sleep 1000 >/dev/null
		eventually 20 sh -c "'$WHERRY' ps --filter name=$name --filter health=healthy -q | grep -q ."
	done
	"$WHERRY" stats --no-stream >/dev/null
	before=$(state)
	io=$(written)
	[ "$(wc -l <<<"$io")" -eq 4 ]
	end=$(($(probes) + 12))
	"$WHERRY" stats --no-stream >/dev/null
	eventually 60 probed_until $end
	[ "$(state)" = "$before" ] || fail "$(diff <(state) - <<<"$before")"
	[ "$(written)" = "$io" ] || fail "$(diff <(written) - <<<"$io")"
}
