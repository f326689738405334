# Devices that come and go while containers run.
#
# The host kernel's own: loop devices that are made and removed. Real USB is for tests/vm.

source "$BATS_TEST_DIRNAME/lib.bash"

setup_file() {
	daemon_setup
	daemon_signal TERM
	printf '#!/bin/sh\necho "$*" >>"%s"\nexec crun "$@"\n' "$DIR/other.log" >"$DIR/other"
	chmod +x "$DIR/other"
	echo "{\"runtimes\": {\"other\": {\"path\": \"$DIR/other\", \"runtimeArgs\": [\"--cgroup-manager=cgroupfs\"]}}}" >"$DIR/daemon.json"
	daemon_start
	busybox_image
	export WORKER=$BUILD/src/worker/wherry-worker
	# one that no other test has, and that is not there
	export LOOP=$((700 + RANDOM % 5000))
	while [ -e "/dev/loop$LOOP" ]; do LOOP=$((LOOP + 1)); done
}

teardown_file() {
	devices loop remove "$LOOP" 2>/dev/null || true
	devices loop remove "$((LOOP + 1))" 2>/dev/null || true
	! mountpoint -q "$DIR/host-dev" || umount -l "$DIR/host-dev"
	daemon_teardown
}

setup() {
	skip_if_all
}

devices() {
	python3 "$BATS_TEST_DIRNAME/devices.py" "$@"
}

pid_of() {
	"$WHERRY" inspect -f '{{.State.Pid}}' "$1"
}

in_it() { # CONTAINER SHELL-COMMAND
	"$WHERRY" exec "$1" sh -c "$2"
}

group_of() { # CONTAINER: its control group, from the top
	echo "wherry-test-$TAG/$("$WHERRY" inspect -f '{{.Id}}' "$1")"
}

# The job plug alone: JOB CONTAINER MEMBERS-OF-THE-REQUEST
job() {
	devices plug "$WORKER" "$(pid_of "$1")" "{\"cgroup\": \"$(group_of "$1")\", $2}"
}

@test "plug: a node appears with its owner and mode, in folders that it makes, and goes" {
	"$WHERRY" run -d --name p1 bb sleep 1000
	node='{"path": "/dev/bus/usb/stick", "type": "c", "major": 188, "minor": 3, "mode": 432, "uid": 7, "gid": 20}'
	link='{"path": "/dev/by-id/stick", "type": "l", "target": "/dev/bus/usb/stick"}'
	job p1 "\"add\": [$node, $link]" | jq -e '.result.refused == []'
	[ "$(in_it p1 'stat -c "%F %t:%T %a %u:%g" /dev/bus/usb/stick')" = "character special file bc:3 660 7:20" ]
	[ "$(in_it p1 'readlink /dev/by-id/stick')" = /dev/bus/usb/stick ]
	[ "$(in_it p1 'ls -A /dev/bus/usb')" = stick ]
	job p1 "\"add\": [$node, $link]" | jq -e '.result.refused == []' # it is there already
	job p1 "\"remove\": [$node, $link]" | jq -e '.result.refused == []'
	[ -z "$(in_it p1 'ls -A /dev/bus/usb /dev/by-id | grep stick')" ]
	job p1 "\"remove\": [$node]" | jq -e '.result.refused == []' # it is gone already
	"$WHERRY" rm -f p1
}

@test "plug: what a hostile container puts in the way is not followed and not replaced" {
	"$WHERRY" run -d --name p2 --cap-add SYS_ADMIN --security-opt seccomp=unconfined -v "$DIR/shared:/shared" bb sleep 1000
	mkdir -p "$DIR/shared/dev"
	in_it p2 'cd /dev; mkfifo pipe; (exec nc -l -s local:/dev/socket </dev/null >/dev/null 2>&1 &); ln -s /etc evil; ln -s /shared/dev far; touch file; mkdir dir; ln -s /etc/passwd link; mknod other c 1 3
		mkdir bound; mount --bind /shared/dev bound; touch over; mount --bind /dev/null over'
	refused() { # PATH REASON
		local node="{\"path\": \"$1\", \"type\": \"c\", \"major\": 188, \"minor\": 3, \"mode\": 432, \"uid\": 0, \"gid\": 0}"
		job p2 "\"add\": [$node]" | jq -e --arg p "$1" --arg r "$2" '.result.refused | length == 1 and .[0].path == $p and (.[0].reason | contains($r))'
	}
	refused /dev/evil/x "symbolic link"
	refused /dev/far/x "symbolic link"
	refused /dev/link "symbolic link"
	refused /dev/bound/x "mounted over 'bound'"
	refused /dev/over "mounted over 'over'"
	refused /dev/file "something else is there"
	refused /dev/other "something else is there"
	refused /dev/dir "something else is there"
	refused /dev/pipe "something else is there"
	refused /dev/file/x "not a directory"
	refused /shared/dev/x "mounted over 'shared'"
	refused /dev/a/../../x "no place"
	refused relative "no place"
	[ -z "$(ls -A "$DIR/shared/dev")" ]
	[ ! -e /etc/x ]
	# removal leaves what is not that node
	node='{"path": "/dev/other", "type": "c", "major": 188, "minor": 3}'
	job p2 "\"remove\": [$node]" | jq -e '.result.refused | length == 1'
	in_it p2 'test -c /dev/other && test -f /dev/file && test -d /dev/dir'
	"$WHERRY" rm -f p2
}

@test "plug: a /dev that is not the container's own is left alone, and a file system that never answers waits for nobody" {
	node='{"path": "/dev/x", "type": "c", "major": 188, "minor": 3, "mode": 432, "uid": 0, "gid": 0}'
	mkdir -p "$DIR/host-dev"
	mount -t tmpfs tmpfs "$DIR/host-dev"
	mkdir "$DIR"/host-dev/{pts,shm,mqueue}
	cp -a /dev/{null,zero,full,tty,random,urandom} "$DIR/host-dev"
	"$WHERRY" run -d --name p3 -v "$DIR/host-dev:/dev" bb sleep 1000
	job p3 "\"add\": [$node]" | jq -e '.result.refused[0].reason | contains("mounted on the host too")'
	[ ! -e "$DIR/host-dev/x" ]
	"$WHERRY" rm -f p3
	umount "$DIR/host-dev"

	"$WHERRY" run -d --name p4 bb sleep 1000
	in_it p4 'mkdir /dev/served'
	mkfifo "$DIR/end"
	devices fuse "$(pid_of p4)" /dev/served <"$DIR/end" >"$DIR/fuse.out" 3>&- &
	exec 9>"$DIR/end"
	eventually 10 grep -q mounted "$DIR/fuse.out"
	job p4 '"add": [{"path": "/dev/served/x", "type": "c", "major": 188, "minor": 3}]' |
		jq -e '.result.refused[0].reason | contains("mounted over")'
	exec 9>&-
	wait
	rm "$DIR/fuse.out"
	devices fuse "$(pid_of p4)" /dev <"$DIR/end" >"$DIR/fuse.out" 3>&- &
	exec 9>"$DIR/end"
	eventually 10 grep -q mounted "$DIR/fuse.out"
	job p4 "\"add\": [$node]" | jq -e '.result.refused[0].reason | contains("of type fuse")'
	exec 9>&-
	wait
	"$WHERRY" rm -f p4
}

@test "plug: who changes the way meanwhile gains nothing, neither on a volume nor on the host" {
	mkdir -p "$DIR/shared/dev"
	mkdir "/tmp/wherry-plug-$TAG"
	"$WHERRY" run -d --name p7 --cap-add SYS_ADMIN --security-opt seccomp=unconfined -v "$DIR/shared:/shared" bb sh -c '
		cd /dev; mkdir real away
		while :; do
			ln -s /shared/dev dir; mv dir gone; ln -s "/tmp/wherry-plug-'"$TAG"'" dir; rm dir gone
			mkdir dir; mount --bind /shared/dev dir; umount dir; mount -t tmpfs none dir; umount dir
			mv dir real/; mv real/dir away/; rm -rf away/dir; mkdir dir; rm -rf dir
		done'
	devices plug-often "$WORKER" "$(pid_of p7)" "$(group_of p7)" /dev/dir/node 40
	[ -z "$(ls -A "$DIR/shared/dev")" ]
	rmdir "/tmp/wherry-plug-$TAG"
	"$WHERRY" rm -f p7
}

@test "plug: a container whose first process has another root than its namespace, or other mounts, has its devices all the same" {
	"$WHERRY" run -d --name p8 --cap-add SYS_ADMIN --security-opt seccomp=unconfined bb sh -c '
		mkdir -p /jail/bin /jail/proc; cp /bin/busybox /jail/bin/; mount -t tmpfs none /mnt; exec unshare -m chroot /jail /bin/busybox sleep 1000'
	eventually 10 sh -c "grep -q sleep /proc/$(pid_of p8)/cmdline"
	job p8 '"add": [{"path": "/dev/x", "type": "c", "major": 188, "minor": 3, "mode": 432}]' | jq -e '.result.refused == []'
	[ ! -e "/proc/$(pid_of p8)/root/dev/x" ]
	job p8 '"remove": [{"path": "/dev/x", "type": "c", "major": 188, "minor": 3}]' | jq -e '.result.refused == []'
	"$WHERRY" rm -f p8
}

@test "plug: a process that is not the container's, or has ended, is nobody else's" {
	"$WHERRY" run -d --name p9 bb sleep 1000
	"$WHERRY" run -d --name other bb sleep 1000
	node='{"path": "/dev/x", "type": "c", "major": 188, "minor": 3, "mode": 432, "uid": 0, "gid": 0}'
	for pid in "$(pid_of other)" "$$"; do # its number is somebody else's by now
		devices plug "$WORKER" "$pid" "{\"cgroup\": \"$(group_of p9)\", \"add\": [$node]}" | jq -e '.error.message | contains("not its own")'
	done
	in_it other '! test -e /dev/x'
	devices plug-ended "$WORKER" "{\"cgroup\": \"$(group_of p9)\", \"add\": [$node]}" | jq -e '.error.message | contains("is not there")'
	"$WHERRY" rm -f p9 other
}

@test "plug: rules change by what differs alone" {
	[ -d /sys/fs/cgroup/devices ] || skip "cgroup v1 only: there is no list of rules to read on v2"
	"$WHERRY" run -d --name p5 --device-cgroup-rule 'c 189:* r' bb sleep 1000
	group=$(grep -o 'devices:.*' "/proc/$(pid_of p5)/cgroup" | cut -d: -f2 | cut -c2-)
	list=/sys/fs/cgroup/devices/$group/devices.list
	cp "$list" "$DIR/before"
	rules=$(jq -c '.linux.resources.devices' "$DIR/run/containers/$("$WHERRY" inspect -f '{{.Id}}' p5 | cut -c1-32)/config.json")
	more=$(jq -c '. + [{"allow": true, "type": "c", "major": 188, "minor": 3, "access": "rw"}]' <<<"$rules")
	devices plug "$WORKER" "$(pid_of p5)" "{\"cgroup\": \"$group\", \"rules\": $more}" | jq -e .result
	[ "$(diff "$DIR/before" "$list" | grep '^[<>]')" = "> c 188:3 rw" ]
	devices plug "$WORKER" "$(pid_of p5)" "{\"cgroup\": \"$group\", \"rules\": $rules}" | jq -e .result
	diff "$DIR/before" "$list"
	"$WHERRY" rm -f p5
}

@test "plug: those who listen to udevd in the container hear it, and find its data" {
	"$WHERRY" run -d --name p6 bb sleep 1000
	mkfifo "$DIR/end2"
	devices listen "$(pid_of p6)" "$DIR/heard" <"$DIR/end2" >"$DIR/listen.out" 3>&- &
	exec 9>"$DIR/end2"
	eventually 10 grep -q listens "$DIR/listen.out"
	message=$(python3 - <<-'P'
		import base64, struct
		words = b"ACTION=add\0DEVNAME=/dev/ttyUSB0\0SUBSYSTEM=tty\0"
		head = struct.pack("=8s", b"libudev\0") + struct.pack(">I", 0xFEEDCAFE) + struct.pack("=IIIIIII", 40, 40, len(words), 0, 0, 0, 0)
		print(base64.b64encode(head + words).decode())
	P
	)
	mkdir -p "$DIR/udev/data"
	touch "$DIR/udev/data/c1:1"
	job p6 "\"udev_dir\": \"$DIR/udev\", \"udev_data\": [\"c188:3\"], \"messages\": [\"$message\"]" | jq -e .result
	eventually 10 grep -q '"DEVNAME": "/dev/ttyUSB0"' "$DIR/heard"
	[ ! -e "$DIR/udev/data/c1:1" ]
	exec 9>&-
	wait
	"$WHERRY" rm -f p6
}

@test "hot: a plain --device that is pulled goes, and comes back under its name, with its rule; nothing restarts" {
	devices loop add "$LOOP"
	"$WHERRY" run -d --name h1 --device "/dev/loop$LOOP:/dev/disk:r" bb sleep 1000
	pid=$(pid_of h1)
	[ "$(in_it h1 'cat /dev/disk | wc -c')" = 0 ]
	group=$(sed -n 's/.*:devices:.//p' "/proc/$pid/cgroup")
	[ -z "$group" ] || cp "/sys/fs/cgroup/devices/$group/devices.list" "$DIR/rules"
	devices loop remove "$LOOP"
	eventually 10 in_it h1 '! test -e /dev/disk'
	[ -z "$group" ] || [ "$(diff "$DIR/rules" "/sys/fs/cgroup/devices/$group/devices.list" | grep '^[<>]')" = "< b 7:$LOOP r" ]
	# the rule has gone with it
	in_it h1 "mknod /dev/own b 7 $LOOP && ! cat /dev/own"
	devices loop add "$LOOP"
	eventually 10 in_it h1 'test -b /dev/disk'
	[ "$(in_it h1 'cat /dev/disk | wc -c')" = 0 ]
	in_it h1 '! echo x >/dev/disk'
	[ -z "$group" ] || diff <(sort "$DIR/rules") <(sort "/sys/fs/cgroup/devices/$group/devices.list")
	[ "$(pid_of h1)" = "$pid" ]
	"$WHERRY" rm -f h1
	devices loop remove "$LOOP"
}

@test "hot: a label's device appears when it is plugged, under its name, with owner and mode; on_change runs a command" {
	"$WHERRY" run -d --name h2 --label "wherry.device.stick=path=/dev/loop$LOOP*,as=/dev/stick,required=false,uid=7,mode=0640" \
		--label "wherry.device.all={\"path\": \"/dev/loop${LOOP%?}*\", \"as\": \"/dev/loops/\", \"required\": false, \"permissions\": \"r\", \"on_change\": \"exec\", \"exec\": \"echo \$WHERRY_DEVICE_ACTION \$WHERRY_DEVICE_NAME \$WHERRY_DEVICE >>/tmp/seen\"}" \
		--device-cgroup-rule 'c 189:* r' --memory 64m bb sleep 1000
	in_it h2 '! test -e /dev/stick'
	in_it h2 'test -e /run/udev/control && ! touch /run/udev/x'
	"$WHERRY" update --memory 80m --memory-swap 160m h2
	mkfifo "$DIR/end3"
	devices listen "$(pid_of h2)" "$DIR/heard2" <"$DIR/end3" >"$DIR/listen2.out" 3>&- &
	exec 9>"$DIR/end3"
	eventually 10 grep -q listens "$DIR/listen2.out"
	devices loop add "$LOOP"
	eventually 10 in_it h2 'test -b /dev/stick'
	eventually 10 sh -c "$WHERRY device ls --format '{{.Device}} {{.UsedBy}}' | grep -q '^/dev/loop$LOOP .*h2:/dev/stick'"
	[ "$(in_it h2 'stat -c "%a %u" /dev/stick')" = "640 7" ]
	eventually 10 in_it h2 "test -b /dev/loops/loop$LOOP"
	eventually 10 in_it h2 "grep -x 'add all /dev/loops/loop$LOOP' /tmp/seen"
	group=$(sed -n 's/.*:memory:.//p' "/proc/$(pid_of h2)/cgroup")
	[ -z "$group" ] || [ "$(cat "/sys/fs/cgroup/memory/$group/memory.limit_in_bytes")" = 83886080 ]
	devices loop remove "$LOOP"
	eventually 10 in_it h2 "grep -x 'remove all /dev/loops/loop$LOOP' /tmp/seen"
	in_it h2 '! test -e /dev/stick'
	# libudev in it has heard of both, and of nothing else
	eventually 10 grep -q '"ACTION": "remove"' "$DIR/heard2"
	# under the names that it has there
	[ "$(jq -r '"\(.ACTION) \(.DEVNAME) \(.DEVLINKS)"' "$DIR/heard2")" = "add /dev/loops/loop$LOOP /dev/stick
remove /dev/loops/loop$LOOP /dev/stick" ]
	exec 9>&-
	wait
	"$WHERRY" rm -f h2
}

@test "hot: a required device is waited for, also without a restart policy, and starts what waits" {
	"$WHERRY" run -d --name w1 --stop-signal KILL --label "wherry.device.disk=path=/dev/loop$LOOP,as=/dev/disk,on_change=restart" bb sleep 1000
	"$WHERRY" run -d --name w2 --restart always --device "/dev/loop$LOOP" bb sleep 1000
	[ "$("$WHERRY" inspect -f '{{.State.WherryWaitingFor}}' w1)" = "device disk" ]
	[ "$("$WHERRY" inspect -f '{{.State.WherryWaitingFor}}' w2)" = "device /dev/loop$LOOP" ]
	"$WHERRY" ps -a | grep w1 | grep -q 'Waiting for device disk'
	daemon_signal TERM
	daemon_start
	eventually 10 sh -c "$WHERRY ps -a | grep w1 | grep -q 'Waiting for device disk'"
	devices loop add "$LOOP"
	eventually 10 in_it w1 'test -b /dev/disk'
	eventually 10 in_it w2 "test -b /dev/loop$LOOP"
	# w1 is restarted when it changes, and so waits again; w2 goes on
	devices loop remove "$LOOP"
	eventually 10 sh -c "$WHERRY ps -a | grep w1 | grep -q 'Waiting for device disk'"
	eventually 10 in_it w2 "! test -e /dev/loop$LOOP"
	"$WHERRY" rm -f w1 w2
	run "$WHERRY" run --name w3 --device "/dev/loop$LOOP" bb true # as dockerd
	[ "$status" -ne 0 ]
	[[ $output == *"error gathering device information"* ]]
	"$WHERRY" rm w3
}

@test "hot: a daemon that was away finds out what has changed meanwhile" {
	devices loop add "$LOOP"
	"$WHERRY" run -d --name r1 --device "/dev/loop$LOOP:/dev/one" --device /dev/fuse \
		--label "wherry.device.two=path=/dev/loop$((LOOP + 1)),as=/dev/two,required=false" bb sleep 1000
	in_it r1 'test -b /dev/one && test -c /dev/fuse'
	daemon_signal KILL
	devices loop remove "$LOOP"
	devices loop add "$((LOOP + 1))"
	daemon_start
	eventually 10 in_it r1 'test -b /dev/two && ! test -e /dev/one'
	in_it r1 'test -c /dev/fuse && : 3<>/dev/fuse'
	devices loop remove "$((LOOP + 1))"
	eventually 10 in_it r1 '! test -e /dev/two'
	"$WHERRY" rm -f r1
}

@test "hot: a container of a daemon that noted nothing of devices has them hot as well" {
	devices loop add "$LOOP"
	"$WHERRY" run -d --name old --device "/dev/loop$LOOP:/dev/one" bb sleep 1000
	noted=$DIR/run/containers/$("$WHERRY" inspect -f '{{.Id}}' old | cut -c1-32)/devices.json
	daemon_signal KILL
	rm "$noted"
	daemon_start
	devices loop remove "$LOOP"
	eventually 10 in_it old '! test -e /dev/one'
	devices loop add "$LOOP"
	eventually 10 in_it old 'test -b /dev/one'
	"$WHERRY" rm -f old
	devices loop remove "$LOOP"
}

@test "hot: another runtime's container has its devices hot as well" {
	"$WHERRY" run -d --runtime other --name o1 --device-cgroup-rule 'c 189:* r' \
		--label "wherry.device.disk=path=/dev/loop$LOOP,as=/dev/disk,required=false" bb sleep 1000
	devices loop add "$LOOP"
	eventually 10 in_it o1 'cat /dev/disk'
	devices loop remove "$LOOP"
	eventually 10 in_it o1 '! test -e /dev/disk'
	in_it o1 "mknod /dev/own b 7 $LOOP && ! cat /dev/own"
	"$WHERRY" update --memory 64m --memory-swap 128m o1
	grep -q ' update --resources' "$DIR/other.log"
	# set by the shim: runc would refuse it in the runtime's configuration
	[ "$(in_it o1 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start')" = 0 ]
	"$WHERRY" rm -f o1
}

@test "hot: an image's label is no request, and a wrong one is refused with its name" {
	"$WHERRY" create --name l1 --label wherry.device.x=as=/dev/x bb true && return 1
	"$WHERRY" create --label wherry.device.x=colour=red bb true 2>&1 | grep -q 'wherry.device.x'
	"$WHERRY" create --name l2 bb true
	"$WHERRY" commit --change "LABEL wherry.device.x=path=/dev/loop$LOOP" l2 labelled
	"$WHERRY" run --rm labelled true
	"$WHERRY" rm l2
}

@test "hot: x-wherry.devices of a compose file are such labels" {
	mkdir "$DIR/project"
	cat >"$DIR/project/compose.yaml" <<-Y
		name: devices$TAG
		services:
		  app:
		    image: bb
		    command: sleep 1000
		    stop_signal: KILL
		    x-wherry:
		      devices:
		        - {path: /dev/loop$LOOP, as: /dev/disk, required: false, mode: "0640"}
	Y
	cd "$DIR/project"
	"$WHERRY" compose up -d
	devices loop add "$LOOP"
	eventually 10 "$WHERRY" compose exec -T app test -b /dev/disk
	devices loop remove "$LOOP"
	"$WHERRY" compose down
	# a later file's rule takes the place of the one of that name, with or without saying it
	cat >more.yaml <<-Y
		services:
		  app:
		    x-wherry:
		      devices:
		        - {class: audio, as: /dev/disk}
		        - {name: two, class: gpio}
		  next:
		    extends: {file: compose.yaml, service: app}
		    x-wherry: {devices: [{name: disk, serial: A1, as: /dev/disk}]}
	Y
	"$WHERRY" compose -f compose.yaml -f more.yaml config --format json >config.json
	jq -e '.services.app.labels | (keys == ["wherry.device.disk", "wherry.device.two"])
		and (."wherry.device.disk" | fromjson == {"class": "audio", "as": "/dev/disk"})' config.json
	jq -e '.services.next.labels | (keys == ["wherry.device.disk"]) and (."wherry.device.disk" | fromjson == {"serial": "A1", "as": "/dev/disk"})' config.json
	sed -i 's/mode: "0640"/colour: red/' compose.yaml
	run "$WHERRY" compose config
	[ "$status" -ne 0 ]
	[[ $output == *"compose.yaml:9:"*"colour"* ]]
}
