# Disks that come and go while containers run: labels wherry.storage.NAME.
#
# Loop devices with file systems that the host kernel has. A stick that is pulled out while it is mounted is one whose
# directory in sysfs is covered by an empty one; the rest is the real thing. Real USB is for tests/vm.

bats_require_minimum_version 1.5.0
source "$BATS_TEST_DIRNAME/lib.bash"

setup_file() {
	export FAKE=/tmp/wherry-fake-$$ # programs that this daemon's workers find first
	mkdir -p "$FAKE"
	PATH=$FAKE:$PATH daemon_setup
	busybox_image
	export LOOP=$((6000 + RANDOM % 2000))
	while [ -e "/dev/loop$LOOP" ] || [ -e "/dev/loop$((LOOP + 1))" ]; do LOOP=$((LOOP + 2)); done
}

teardown_file() {
	daemon_teardown
	! mountpoint -q "$DIR/own" || umount "$DIR/own"
	for n in "$LOOP" $((LOOP + 1)); do
		while grep -q " /sys/devices/virtual/block/loop$n" /proc/self/mountinfo; do
			umount -l "$(grep -o " /sys/devices/virtual/block/loop$n[^ ]*" /proc/self/mountinfo | tail -1)" || break
		done
		losetup -d "/dev/loop$n" 2>/dev/null || true
		[ ! -e "/dev/loop$n" ] || eventually 20 python3 "$BATS_TEST_DIRNAME/devices.py" loop remove "$n" || true
	done
	if grep -q " $DIR/run/storage " /proc/mounts; then umount -l "$DIR/run/storage"; fi
	rm -rf "$FAKE" "$DIR"
}

setup() {
	skip_if_all
	IDS=$("$WHERRY" ps -aq)
	[ -z "$IDS" ] || "$WHERRY" rm -f $IDS >/dev/null
	! mountpoint -q "$DIR/own" || umount "$DIR/own"
	for n in "$LOOP" $((LOOP + 1)); do
		unhide "$n"
		! grep -qs . "/sys/block/loop$n/loop/backing_file" || losetup -d "/dev/loop$n"
		eventually 20 loop_is_free "$n"
	done
}

loop_is_free() {
	! grep -qs . "/sys/block/loop$1/loop/backing_file"
}

# An image file with a file system: NAME LABEL [MKFS-ARGUMENT...]
disk() {
	rm -f "$DIR/$1.img"
	truncate -s 4M "$DIR/$1.img"
	mkfs.ext4 -q -F -L "$2" "${@:3}" "$DIR/$1.img"
}

plug() { # NUMBER NAME
	losetup "/dev/loop$1" "$DIR/$2.img"
}

# Pulled out, mounted or not: it is not in sysfs any more, and the kernel says so.
pull() { # NUMBER
	local dir=/sys/devices/virtual/block/loop$1
	exec 9>"$dir/uevent"
	mount -t tmpfs pulled "$dir"
	echo remove >&9
	exec 9>&-
}

unhide() { # NUMBER
	! grep -q " /sys/devices/virtual/block/loop$1 " /proc/self/mountinfo || umount -l "/sys/devices/virtual/block/loop$1"
}

# As a stick is, which "any" means; loop devices are not.
removable() { # NUMBER
	echo 1 >"$DIR/one"
	mount --bind "$DIR/one" "/sys/devices/virtual/block/loop$1/removable"
	echo change >"/sys/devices/virtual/block/loop$1/uevent"
}

in_it() { # CONTAINER SHELL-COMMAND
	"$WHERRY" exec "$1" sh -c "$2"
}

is_waiting() { # CONTAINER
	"$WHERRY" inspect "$1" | jq -e '.[0].State.WherryWaitingFor | test("disk")'
}

is_running() {
	[ "$("$WHERRY" inspect -f '{{.State.Status}}' "$1")" = running ]
}

no_mounts() {
	! grep -q " $DIR/run/storage" /proc/self/mountinfo
}

# "NAME PATH STATE REASON" of each of its labels.
storage_state() { # CONTAINER
	"$WHERRY" inspect "$1" | jq -r '.[0].State.WherryStorage[] | "\(.Name) \(.Path) \(.State) \(.Reason)"'
}

# What stands in the container's table of mounts for /usb but the place itself.
mounted_in() { # CONTAINER
	in_it "$1" 'grep " /usb" /proc/mounts | grep -v ^wherry-storage'
}

@test "storage: a disk comes into a running container, goes while it is used, and comes back" {
	disk a "A$TAG"
	"$WHERRY" run -d --name c1 --label "wherry.storage.m=label=A$TAG,at=/usb,required=false" bb sleep 1000
	"$WHERRY" run -d --name c2 --label "wherry.storage.m={\"label\":\"A$TAG\",\"at\":\"/usb\",\"read_only\":true}" bb sleep 1000
	run ! in_it c1 'touch /usb/lost' # nothing is there: nothing is written
	[[ "$output" == *"Read-only file system"* ]]
	is_waiting c2

	plug "$LOOP" a
	eventually 20 in_it c1 'echo kept >/usb/file'
	eventually 20 is_running c2
	[ "$(in_it c2 'cat /usb/file')" = kept ]
	run ! in_it c2 'touch /usb/file'
	mounted_in c1 | grep -q 'rw,nosuid,nodev'
	mounted_in c2 | grep -q 'ro,nosuid,nodev'
	"$WHERRY" events --since 1h --until "$(date +%s.%N)" --filter event=storage_add --format '{{.Actor.Attributes.name}} {{.Actor.Attributes.path}} {{.Actor.Attributes.label}}' | grep -q "c1 /usb A$TAG"

	# and it is seen: as a bind, with its state, and from the device's side
	"$WHERRY" inspect c2 | jq -e '.[0].Mounts == [{Type: "bind", Source: .[0].Mounts[0].Source, Destination: "/usb", Mode: "", RW: false, Propagation: "rslave"}]'
	[ "$(storage_state c1)" = 'm /usb mounted ' ]
	uses=$("$WHERRY" device inspect "loop$LOOP" | jq -c '[.[0].uses[] | [.name, .rule, .path, .has, .state]] | sort')
	[ "$uses" = '[["c1","m","/usb",true,"mounted"],["c2","m","/usb",true,"mounted"]]' ]
	"$WHERRY" device ls | grep "^/dev/loop$LOOP " | grep -q 'c1:/usb,c2:/usb'

	# in use: a program has a file open in it and stands in it
	"$WHERRY" exec -d c1 sh -c 'cd /usb; exec 5<file; touch /tmp/opened; sleep 1000'
	eventually 20 in_it c1 'test -e /tmp/opened'
	pull "$LOOP"
	eventually 20 in_it c1 '! grep " /usb " /proc/mounts | grep -v ^wherry-storage'
	eventually 20 in_it c2 '! grep " /usb " /proc/mounts | grep -v ^wherry-storage'
	[ "$(storage_state c1)" = 'm /usb waiting ' ]
	run ! in_it c1 'touch /usb/lost'
	[[ "$output" == *"Read-only file system"* ]]
	! grep " $DIR/run/storage/" /proc/self/mountinfo

	unhide "$LOOP"
	echo add >"/sys/block/loop$LOOP/uevent"
	eventually 20 in_it c1 'test "$(cat /usb/file)" = kept'
	eventually 20 in_it c2 'test "$(cat /usb/file)" = kept'
	"$WHERRY" rm -f c1 c2
	eventually 20 no_mounts
}

@test "storage: who needs a disk waits for it, also when the daemon is another one, and can be told not to" {
	disk a "A$TAG"
	UUID=$(blkid -p -s UUID -o value "$DIR/a.img")
	"$WHERRY" run -d --name c1 --label "wherry.storage.m=uuid=${UUID^^},at=/usb" bb sleep 1000
	"$WHERRY" run -d --name c2 --rm --label "wherry.storage.m=label=none$TAG,at=/usb" bb sleep 1000
	"$WHERRY" ps -a --format '{{.Names}} {{.Status}}' | grep -q "c1 Waiting for disk ${UUID^^}"
	is_waiting c2
	daemon_signal KILL
	daemon_start
	eventually 20 is_waiting c1
	"$WHERRY" stop c2
	run -1 "$WHERRY" inspect c2
	plug "$LOOP" a
	eventually 20 is_running c1
	in_it c1 'touch /usb/written'
}

@test "storage: a daemon that was killed finds what has come and gone meanwhile" {
	disk a "A$TAG"
	disk b "B$TAG"
	plug "$LOOP" a
	"$WHERRY" run -d --name c1 --label "wherry.storage.a=A$TAG,at=/usb/a" --label "wherry.storage.b=B$TAG,at=/usb/b,required=false" bb sleep 1000
	in_it c1 'echo 1 >/usb/a/one'
	daemon_signal KILL
	pull "$LOOP"
	plug $((LOOP + 1)) b
	in_it_before=$(grep -c " $DIR/run/storage/" /proc/self/mountinfo)
	[ "$in_it_before" -gt 0 ]
	PATH=$FAKE:$PATH daemon_start
	eventually 20 in_it c1 'echo 2 >/usb/b/two'
	eventually 20 in_it c1 '! grep " /usb/a " /proc/mounts | grep -v ^wherry-storage'
	run ! in_it c1 'echo 1 >/usb/a/one'
	"$WHERRY" kill c1
	eventually 20 no_mounts
}

@test "storage: any takes all that come and go, under names that are safe" {
	"$WHERRY" run -d --name c1 --label "wherry.storage.m=any,at=/usb,fs=ext2" bb sleep 1000
	disk a "../../x" -t ext2
	disk b "../../x" -t ext2
	plug "$LOOP" a
	plug $((LOOP + 1)) b
	# what the machine has mounted for itself is not any
	mkdir -p "$DIR/own"
	mount -o ro "/dev/loop$((LOOP + 1))" "$DIR/own"
	removable $((LOOP + 1))
	removable "$LOOP"
	eventually 20 in_it c1 'test -d /usb/_._.._x/lost+found'
	[ "$(in_it c1 'ls /usb')" = _._.._x ]
	umount "$DIR/own"
	echo change >"/sys/devices/virtual/block/loop$((LOOP + 1))/uevent"
	eventually 20 in_it c1 "test -d /usb/_._.._x-loop$((LOOP + 1))/lost+found"
	in_it c1 'echo 1 >/usb/_._.._x/file'
	run ! in_it c1 'mkdir /usb/other'
	# one that starts when they are there has them too
	"$WHERRY" run -d --name c2 --label "wherry.storage.m=any,at=/usb,fs=ext2,read_only=true" bb sleep 1000
	[ "$(in_it c2 'cat /usb/_._.._x/file')" = 1 ]
	run ! in_it c2 'touch /usb/_._.._x/file'
	pull "$LOOP"
	eventually 20 in_it c1 '! test -e /usb/_._.._x'
	eventually 20 in_it c2 '! test -e /usb/_._.._x'
	in_it c2 "test -d /usb/_._.._x-loop$((LOOP + 1))/lost+found"
}

@test "storage: what fsck finds decides, and one disk that hangs holds up nobody else" {
	disk a "A$TAG"
	disk b "B$TAG"
	debugfs -w -R 'sif / links_count 9' "$DIR/a.img" 2>/dev/null
	debugfs -w -R 'ssv state 0' "$DIR/a.img" 2>/dev/null
	plug "$LOOP" a
	"$WHERRY" run -d --name c1 --label "wherry.storage.m=A$TAG,at=/usb,fsck=check" bb sleep 1000
	mounted_in c1 | grep -q ' ro,'
	[ "$(storage_state c1)" = 'm /usb degraded e2fsck found errors' ]
	"$WHERRY" rm -f c1
	eventually 20 no_mounts
	"$WHERRY" run -d --name c1 --label "wherry.storage.m=A$TAG,at=/usb,fsck=repair" bb sleep 1000
	mounted_in c1 | grep -q ' rw,'
	"$WHERRY" rm -f c1
	eventually 20 no_mounts

	mkfifo "$DIR/never"
	printf '#!/bin/sh\necho $$ >>%s/hanging\nexec cat %s/never\n' "$DIR" "$DIR" >"$FAKE/e2fsck"
	chmod +x "$FAKE/e2fsck"
	plug $((LOOP + 1)) b
	"$WHERRY" create --name c2 --label "wherry.storage.a=A$TAG,at=/usb/a" --label "wherry.storage.b=B$TAG,at=/usb/b,fsck=check,required=false" bb sleep 1000
	"$WHERRY" start c2 &
	eventually 20 test -s "$DIR/hanging"
	"$WHERRY" ps
	"$WHERRY" run -d --name c3 --label "wherry.storage.a=A$TAG,at=/usb" bb sleep 1000
	in_it c3 'touch /usb/x'
	# the job is killed: fsck goes with it, the container starts without
	kill -KILL "$(ps -o ppid= -p "$(tail -1 "$DIR/hanging")")"
	eventually 20 process_ended "$(tail -1 "$DIR/hanging")"
	wait
	in_it c2 'touch /usb/a/y'
	run ! in_it c2 'touch /usb/b/y'
	storage_state c2 | grep -q '^b /usb/b failed .'
	"$WHERRY" device ls | grep "^/dev/loop$((LOOP + 1)) " | grep -Fq 'c2/b(failed)'
	"$WHERRY" events --since 1h --until "$(date +%s.%N)" --filter event=storage_failed --format '{{.Actor.Attributes.name}} {{.Actor.Attributes.path}} {{.Actor.Attributes.reason}}' | grep -q '^c2 /usb/b .'
	# it is tried again by itself, and once more
	hangs_again() { [ "$(wc -l <"$DIR/hanging")" -ge 2 ]; }
	eventually 20 hangs_again
	rm "$FAKE/e2fsck"
	kill -KILL "$(ps -o ppid= -p "$(tail -1 "$DIR/hanging")")"
	eventually 30 in_it c2 'touch /usb/b/y'
	[ "$(storage_state c2 | tail -1)" = 'b /usb/b mounted ' ]
}

@test "storage: what a daemon left mounted goes with --purge-network" {
	disk a "A$TAG"
	plug "$LOOP" a
	"$WHERRY" run -d --name c1 --label "wherry.storage.a=A$TAG,at=/usb" bb sleep 1000
	pid=$("$WHERRY" inspect -f '{{.State.Pid}}' c1)
	daemon_signal KILL
	kill -KILL "$pid"
	eventually 20 process_ended "$pid"
	grep -q " $DIR/run/storage/disk/" /proc/self/mountinfo
	"$WHERRYD" --data-root "$DIR/data" --exec-root "$DIR/run" --bridge "$BRIDGE" --config-file "$DIR/daemon.json" --purge-network
	no_mounts
	PATH=$FAKE:$PATH daemon_start
}

@test "storage: what makes no sense is refused by the label's name; an image's labels mount nothing" {
	run -125 "$WHERRY" run --label wherry.storage.m=label=A bb true
	[[ "$output" == *"wherry.storage.m: at must be an absolute path"* ]]
	run -125 "$WHERRY" run --label wherry.storage.m=label=A,at=/x -v /tmp:/x bb true
	[[ "$output" == *"Duplicate mount point: /x"* ]]
	"$WHERRY" create --name c1 bb sleep 1000
	"$WHERRY" commit -c "LABEL wherry.storage.m=label=A$TAG,at=/usb" c1 "storage-labels"
	"$WHERRY" run -d --name c2 "storage-labels" sleep 1000
	in_it c2 '! test -e /usb'
}

@test "storage: x-wherry.storage of a compose file are such labels" {
	mkdir "$DIR/project"
	printf 'name: s%s\nservices:\n  app:\n    image: bb\n    command: sleep 1000\n    x-wherry:\n      storage:\n        - {label: A, at: /mnt/usb, required: false}\n' \
		"$TAG" >"$DIR/project/compose.yaml"
	cd "$DIR/project"
	"$WHERRY" compose up -d -t 0
	[ "$("$WHERRY" compose ps -q | xargs "$WHERRY" inspect -f '{{index .Config.Labels "wherry.storage.usb"}}')" = '{"label":"A","at":"/mnt/usb","required":false}' ]
	run "$WHERRY" compose exec -T app touch /mnt/usb/x
	[[ "$output" == *"Read-only file system"* ]]
	"$WHERRY" compose down -t 0
}
