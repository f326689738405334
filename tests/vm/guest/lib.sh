# tests/vm/guest/lib.sh - runs in the guest, before each script of a case.
set -eu
DATA=/run/w
BYID=/dev/serial/by-id

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# Waits until the command succeeds; the limit is generous because the guest is emulated on a loaded machine.
eventually() { # SECONDS COMMAND...
	local end=$((SECONDS + 4 * $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || fail "never true: $*"
		pause 0.1
	done
}

never() { # COMMAND...: for what must not be the case now
	! "$@" >/dev/null 2>&1 || fail "true: $*"
}

exec 9<>"$DATA/nothing"
pause() { # SECONDS, without a process
	read -r -t "$1" -u 9 _ || true
}

now_ms() {
	local up
	read -r up _ </proc/uptime
	echo $((10#${up/./} * 10))
}

api() { # METHOD PATH [curl's arguments]
	curl -s --unix-socket /run/wherry/wherry.sock -X "$1" "http://d$2" "${@:3}"
}

# A container that only says what comes and goes at its paths: watcher NAME PATH... -- OPTIONS OF RUN...
watcher() {
	local name=$1 paths=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		paths+=("$1")
		shift
	done
	shift
	wherry run -d --name "$name" "$@" bb /bin/seen "${paths[@]}" >/dev/null
	eventually 20 said "$name" begins
}

said() { # CONTAINER REGEX: the container has written such a line
	wherry logs "$1" 2>&1 | grep -Eq -- "$2"
}

said_times() { # CONTAINER REGEX N: exactly N lines
	[ "$(wherry logs "$1" 2>&1 | grep -Ec -- "$2")" -eq "$3" ]
}

pid_of() {
	wherry inspect -f '{{.State.Pid}}' "$1"
}

# What must be the same before and after: its process and the moment of its start.
life_of() {
	wherry inspect -f '{{.State.Pid}} {{.State.StartedAt}} {{.RestartCount}}' "$1"
}

# "MAJOR:MINOR UID GID MODE" of a node as the container has it, without a process in there.
node_in() { # CONTAINER PATH
	stat -c '%Hr:%Lr %u %g %a' "/proc/$(pid_of "$1")/root$2"
}

node_of() { # HOST-NODE
	stat -Lc '%Hr:%Lr %u %g %a' "$1"
}

has_node() { # CONTAINER PATH
	[ -c "/proc/$(pid_of "$1")/root$2" ] || [ -b "/proc/$(pid_of "$1")/root$2" ]
}

lacks() { # CONTAINER PATH: nothing at all has that name
	local at
	at=/proc/$(pid_of "$1")/root$2
	[ ! -e "$at" ] && [ ! -L "$at" ]
}

# How often the daemon's socket was too full for a message.
lost() {
	journalctl -u wherryd -o cat | grep -c messages_lost || true
}

# What this machine is like between two cases.
cleanup() {
	local one mod
	set +e
	for one in $(wherry ps -aq); do
		wherry rm -f -v "$one" >/dev/null
	done
	nft delete table inet dead 2>/dev/null # servers.sh
	wherry volume prune -af >/dev/null 2>&1
	for one in $(wherry volume ls -q); do # a prune leaves those with options
		wherry volume rm -f "$one" >/dev/null
	done
	for one in /sys/kernel/config/usb_gadget/*/; do
		[ ! -d "$one" ] || bash "$DATA/gadget.sh" rm "$(basename "$one")"
	done
	pkill -f cp2112.py
	swapoff -a
	umount /usr/games /run/own/low 2>/dev/null
	for mod in rc_loopback vivid snd_dummy snd_aloop i2c_stub scsi_debug spi_butterfly parport_pc; do
		! grep -q "^$mod " /proc/modules || modprobe -r "$mod"
	done
	rm -rf "$DATA/case"
	return 0
}

CASE=$DATA/case
mkdir -p "$CASE"

# The time from the kernel's event to what the container saw, over all that it saw, and from udevd's to there: udevd alone takes 0.1 to 0.3 s
# in an idle guest. The bar is a second on a machine of its own; programs start 20 to 90 times slower in here, beside whatever else this
# machine does, so that the limit is only for what would never have come in time.
figures() { # WHAT add|remove NODES there|gone CONTAINER PATH
	wherry logs "$5" >"$CASE/seen" 2>&1
	awk -v action="$2" -v nodes="$3" -v change="$4" -v path="$6" '
		FNR == NR { if ($2 == "kernel" && $3 == action && $4 == "tty" && index($5, nodes) == 1) events[++n] = $1
			if ($2 == "udev" && $3 == action && $4 == "tty" && index($5, "/dev/" nodes) == 1) told[++m] = $1; next }
		$2 == change && $3 == path {
			last = 0
			for (i = 1; i <= n; i++) if (events[i] < $1) last = events[i]
			for (i = 1; i <= m; i++) if (told[i] < $1) late = told[i]
			if (last) printf "%d %d\n", ($1 - last) / 1000000, (late > last) ? ($1 - late) / 1000000 : 0
		}' "$DATA/uevents.log" "$CASE/seen" | sort -n >"$CASE/times"
	awk -v what="$1" '{ t[NR] = $1; own += $2 } END {
		if (!NR) { print "no times of " what; exit 1 }
		printf "figure: %s: %d times, median %d ms, 90 %% %d ms, maximum %d ms; mean after udevd %d ms\n", what, NR, t[int((NR + 1) / 2)], t[int(NR * 0.9 + 0.999)], t[NR], own / NR
		exit !(t[int((NR + 1) / 2)] <= 10000 && t[NR] <= 60000) }' "$CASE/times" || fail "$1 takes too long: $(tr '\n' ' ' <"$CASE/times")"
}

has_file() { # CONTAINER PATH: it runs and has it, with something in it
	test -s "/proc/$(pid_of "$1")/root$2"
}

# "vfat rw,nosuid,nodev": the disk at PATH of the container; nothing: there is only the empty place.
disk_at() { # CONTAINER PATH
	awk -v at="$2" '$5 == at { for (i = 7; $i != "-"; i++); if ($(i + 2) != "wherry-storage") print $(i + 1), $6 }' "/proc/$(pid_of "$1")/mountinfo"
}

has_disk() { # CONTAINER PATH
	disk_at "$@" | grep -q .
}

# "NAME PATH STATE REASON" of each of its labels.
storage_state() { # CONTAINER
	wherry inspect "$1" | jq -r '.[0].State.WherryStorage[] | "\(.Name) \(.Path) \(.State) \(.Reason)"'
}

no_disk() { # CONTAINER PATH: the place, which nobody can write to
	grep -q " $2 ro,.* wherry-storage " "/proc/$(pid_of "$1")/mountinfo" && ! has_disk "$@"
}

nothing_mounted() { # on the host, of disks that are given to containers
	! grep -q ' /run/wherry/storage/' /proc/self/mountinfo
}

nobody_holds() { # NODE: no mount anywhere, and nothing of one that is still to be written
	python3 -c 'import os, sys; os.open(sys.argv[1], os.O_RDONLY | os.O_EXCL)' "$1"
}
