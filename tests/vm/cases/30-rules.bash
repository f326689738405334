# What a container may do with which device, and how it waits.
NEEDS=device_add

line bpf "the device program of the running container is replaced: its device opens, others of the same major do not"
case_bpf() {
	guest ZIGBEE="$ZIGBEE" <<'S'
	watcher box /dev/zigbee -- --label "$ZIGBEE,required=false"
S
	plug_serial wave ZW1
	plug_serial zig ZB1
	guest <<'S'
	eventually 20 said box ' there /dev/zigbee 188:1 '
	try() { # MAJOR MINOR: a node made by the container itself
		wherry exec box sh -c "rm -f /tmp/n; mknod /tmp/n c $1 $2 && exec 3<>/tmp/n" 2>&1
	}
	try 188 1 || fail "its own device is refused"
	! try 188 0 >"$CASE/other" || fail "another adapter opens"
	grep -q 'not permitted' "$CASE/other" || fail "$(cat "$CASE/other")"
	! try 188 2 >"$CASE/other" || fail "an adapter that may come opens"
	grep -q 'not permitted' "$CASE/other" || fail "$(cat "$CASE/other")"
	! try 1 1 | grep -v 'not permitted' || fail "/dev/mem is not refused"
	[ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]
S
}

line narrow "rules never widen: a number that another device takes over is refused"
case_narrow() {
	plug_serial zig ZB1
	guest ZIGBEE="$ZIGBEE" <<'S'
	watcher box /dev/zigbee -- --label "$ZIGBEE,required=false"
	eventually 20 said box ' there /dev/zigbee 188:0 '
S
	unplug zig
	guest <<<"eventually 20 said box ' gone /dev/zigbee'"
	plug_serial other XX1
	guest LINK="$(by_id XX1)" <<'S'
	eventually 30 test -c "$LINK"
	eventually 20 grep -q 'udev add tty /dev/ttyUSB0' "$DATA/uevents.log"
	[ "$(readlink -f "$LINK")" = /dev/ttyUSB0 ]
	pause 2
	lacks box /dev/zigbee || fail "a stranger's device under its name"
	! wherry exec box sh -c 'mknod /tmp/n c 188 0 && exec 3<>/tmp/n' >"$CASE/out" 2>&1 || fail "the number still opens"
	grep -q 'not permitted' "$CASE/out" || fail "$(cat "$CASE/out")"
S
}

line cgroup_rules "device_cgroup_rules stay in force when devices come and go; CDI names are refused"
case_cgroup_rules() {
	guest ZIGBEE="$ZIGBEE" <<'S'
	watcher box /dev/zigbee -- --device-cgroup-rule 'c 10:223 rwm' --label "$ZIGBEE,required=false"
S
	plug_serial zig ZB1
	guest <<'S'
	eventually 20 said box ' there /dev/zigbee'
	modprobe uinput
	wherry exec box sh -c 'mknod /tmp/n c 10 223 && exec 3<>/tmp/n' || fail "the rule is gone"
	! wherry exec box sh -c 'mknod /tmp/m c 10 200 && exec 3<>/tmp/m' 2>/dev/null || fail "more than the rule"
	! wherry run --rm --device vendor.com/class=name bb true 2>"$CASE/cdi" || fail "a CDI name is taken"
S
}

line waiting "a missing required device: waiting in ps, inspect, events and the API, without a restart policy"
case_waiting() {
	guest ZIGBEE="$ZIGBEE" <<'S'
	wherry run -d --name box --label "$ZIGBEE" bb /bin/seen /dev/zigbee >/dev/null
	shown() {
		wherry ps -a --no-trunc | grep -i 'waiting for' | grep -qi zigbee
	}
	eventually 20 shown
	wherry inspect box | grep -qi 'zigbee' && api GET /v1.45/containers/json?all=1 | grep -qi 'waiting for'
	wherry events --since 5m --until 0s --filter event=waiting | grep -qi zigbee
	never has_node box /dev/zigbee
S
	plug_serial zig ZB1
	guest <<<"eventually 30 said box ' there /dev/zigbee 188:0 '; wherry ps | grep -q box"
}

line optional "a missing optional device: the container starts without it"
case_optional() {
	guest ZIGBEE="$ZIGBEE" <<'S'
	watcher box /dev/zigbee -- --label "$ZIGBEE,required=false"
	lacks box /dev/zigbee
	! wherry run --rm --label 'wherry.device.x=usb=0403,colour=red' bb true 2>"$CASE/bad" || fail "an unknown key is taken"
	grep -q 'wherry.device.x' "$CASE/bad" || fail "$(cat "$CASE/bad")"
S
}

line on_change "on_change, plugged and pulled: a signal, a restart, a command in the container"
case_on_change() {
	guest ZIGBEE="$ZIGBEE" <<'S'
	loop='trap "echo hup" HUP; echo begins; while :; do sleep 0.2; done'
	wherry run -d --name signal --label "$ZIGBEE,required=false,on_change=signal:SIGHUP" bb sh -c "$loop" >/dev/null
	wherry run -d --name again --stop-signal KILL --label "$ZIGBEE,required=false,on_change=restart" bb sh -c "$loop" >/dev/null
	wherry run -d --name command --label 'wherry.device.zigbee={"usb":"0403:6001:ZB1","as":"/dev/zigbee","required":false,"on_change":"exec",
		"exec":["/bin/sh","-c","echo $WHERRY_DEVICE_ACTION $WHERRY_DEVICE_NAME $WHERRY_DEVICE >>/tmp/told"]}' bb sh -c "$loop" >/dev/null
	for box in signal again command; do
		eventually 20 said $box begins
		life_of $box >"$CASE/$box"
	done
S
	plug_serial zig ZB1
	changed 'add zigbee /dev/zigbee' 1
	unplug zig
	changed 'remove zigbee /dev/zigbee' 2
}

# A line of the command, a signal, a restart: one of each more, and only what is restarted is another process.
changed() { # LINE TIMES
	guest LINE="$1" N="$2" <<'S'
	told() {
		grep -qx "$LINE" "/proc/$(pid_of command)/root/tmp/told"
	}
	eventually 20 told
	eventually 20 said_times signal hup "$N"
	eventually 40 said_times again begins $((N + 1))
	[ "$(life_of signal)" = "$(cat "$CASE/signal")" ] && [ "$(life_of command)" = "$(cat "$CASE/command")" ]
	[ "$(life_of again)" != "$(cat "$CASE/again")" ]
	life_of again >"$CASE/again"
S
}

line libudev "links beside a device; libudev in a network namespace of its own: add and remove, of its own devices under their names there"
case_libudev() {
	local ZIGBEE=wherry.device.zigbee=usb=0403:6001:ZB1
	guest ZIGBEE="$ZIGBEE" <<'S'
	wherry run -d --name box -v /usr:/usr:ro --label "$ZIGBEE,required=false" deb /opt/udevclient monitor tty >/dev/null
	wherry run -d --name named -v /usr:/usr:ro --label "$ZIGBEE,as=/dev/zigbee,required=false" deb /opt/udevclient monitor tty >/dev/null
	eventually 30 said box listening
	eventually 30 said named listening
S
	plug_serial wave ZW1
	guest LINK="$(by_id ZW1)" <<<'eventually 30 test -c "$LINK"'
	plug_serial zig ZB1
	guest LINK="$(by_id ZB1)" ZIGBEE="$ZIGBEE" <<'S'
	eventually 20 said box "add /dev/ttyUSB1 QEMU_QEMU_USB_SERIAL_ZB1 .*$LINK"
	wherry exec box /opt/udevclient list tty >"$CASE/list"
	grep -q "^/dev/ttyUSB1 QEMU_QEMU_USB_SERIAL_ZB1 .*$LINK" "$CASE/list" || fail "$(grep ttyUSB "$CASE/list")"
	! grep -q ZW1 "$CASE/list" || fail "it can read of another's device"
	at=/proc/$(pid_of box)/root$LINK
	[ "$(readlink "$at")" = ../../ttyUSB1 ] || fail "$LINK: $(readlink "$at")"
	wherry exec box test -c "$LINK"
	# what has one name of its own has that one
	eventually 20 said named '^add /dev/zigbee QEMU_QEMU_USB_SERIAL_ZB1$'
	wherry exec named /opt/udevclient list tty | grep -qx '/dev/ttyUSB1 QEMU_QEMU_USB_SERIAL_ZB1 /dev/zigbee'
	lacks named "$LINK"
	# a container that is started beside it
	wherry run -d --name next --label "$ZIGBEE" bb sleep 1000000 >/dev/null
	linked() { [ "$(readlink "/proc/$(pid_of next)/root$LINK")" = ../../ttyUSB1 ]; }
	eventually 20 linked
S
	unplug wave
	unplug zig
	guest LINK="$(by_id ZB1)" <<'S'
	eventually 20 said box 'remove /dev/ttyUSB1'
	eventually 20 said named 'remove /dev/zigbee'
	eventually 20 lacks box "$LINK"
	eventually 20 lacks next "$LINK"
	! said box 'ZW1|/dev/ttyUSB0 ' || fail "it was told of another's device"
	wherry exec box sh -c 'ls /run/udev/data 2>/dev/null' >"$CASE/data"
	! grep -q 'c188' "$CASE/data" || fail "data of a device that is gone"
S
}

line shown "wherry device ls, watch, inspect and /wherry/v1/devices: what is there, who has it, which rule"
case_shown() {
	guest ZIGBEE="$ZIGBEE" <<'S'
	watcher box /dev/zigbee -- --label "$ZIGBEE,required=false"
	nohup wherry device watch >"$DATA/watched" 2>&1 </dev/null &
	echo $! >"$CASE/watch"
	nohup curl -sN --unix-socket /run/wherry/wherry.sock http://d/wherry/v1/devices/events >"$DATA/streamed" 2>&1 </dev/null &
	echo $! >>"$CASE/watch"
	pause 3
S
	plug_serial zig ZB1
	guest LINK="$(by_id ZB1)" <<'S'
	eventually 20 said box ' there /dev/zigbee'
	eventually 20 grep -q /dev/ttyUSB0 "$DATA/watched"
	eventually 20 grep -q /dev/ttyUSB0 "$DATA/streamed"
	kill $(cat "$CASE/watch")
	wherry device ls >"$CASE/ls"
	grep /dev/ttyUSB0 "$CASE/ls" | grep -q box || fail "$(cat "$CASE/ls")"
	wherry device ls --format json | grep ZB1 | grep -q "$LINK" || fail "no by-id name in ls"
	for one in /dev/ttyUSB0 "$LINK"; do
		wherry device inspect "$one" >"$CASE/inspect"
		grep -q ZB1 "$CASE/inspect" && grep -q box "$CASE/inspect" && grep -q 0403 "$CASE/inspect" || fail "$(cat "$CASE/inspect")"
	done
	grep -q zigbee "$CASE/inspect" || fail "the rule is not named: $(cat "$CASE/inspect")"
	api GET /wherry/v1/devices | jq -e '.[] | select(.node == "/dev/ttyUSB0" or .Node == "/dev/ttyUSB0")' >/dev/null ||
		fail "$(api GET /wherry/v1/devices | head -c 600)"
S
}

line lost "events lost while the daemon stood still: it finds out what is there"
case_lost() {
	plug_serial zig ZB1
	guest ZIGBEE="$ZIGBEE" <<'S'
	watcher box /dev/zigbee /dev/zwave -- --label "$ZIGBEE,required=false" --label wherry.device.b=serial=ZW1,as=/dev/zwave,required=false
	eventually 20 said box ' there /dev/zigbee'
	life_of box >"$CASE/life"
	lost >"$CASE/lost"
	kill -STOP "$(systemctl show -p MainPID --value wherryd)"
S
	unplug zig
	guest <<'S'
	eventually 20 test ! -e /dev/ttyUSB0
	# more than any buffer holds, in udevd's group and, by the kernel, in its own
	python3 - <<'P'
import socket
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
junk = b"libudev\0" + bytes.fromhex("feedcafe") + b"\0" * 4000
for i in range(40000):
    try:
        s.sendto(junk, (0, 2))
    except OSError:
        pass
P
	for n in $(seq 300); do echo change >/sys/class/mem/null/uevent; done
	udevadm settle -t 60
S
	plug_serial wave ZW1
	guest LINK="$(by_id ZW1)" <<'S'
	eventually 30 test -c "$LINK"
	kill -CONT "$(systemctl show -p MainPID --value wherryd)"
	eventually 30 said box ' gone /dev/zigbee'
	eventually 30 said box ' there /dev/zwave'
	[ "$(life_of box)" = "$(cat "$CASE/life")" ]
	# and so it was: the kernel said that the daemon's socket had been full (ENOBUFS)
	[ "$(lost)" -gt "$(cat "$CASE/lost")" ] || fail "nothing was lost"
S
	# what comes and goes later is heard of again
	unplug wave
	guest <<<"eventually 30 said box ' gone /dev/zwave'"
}

line daemon "the daemon is restarted while devices change: what the container has is put right"
case_daemon() {
	plug_serial zig ZB1
	guest ZIGBEE="$ZIGBEE" <<'S'
	watcher box /dev/zigbee /dev/zwave -- --label "$ZIGBEE,required=false" --label wherry.device.b=serial=ZW1,as=/dev/zwave,required=false
	eventually 20 said box ' there /dev/zigbee'
	life_of box >"$CASE/life"
	systemctl stop wherryd
S
	unplug zig
	plug_serial wave ZW1
	guest LINK="$(by_id ZW1)" <<'S'
	eventually 30 test -c "$LINK"
	systemctl start wherryd
	eventually 30 said box ' gone /dev/zigbee'
	eventually 30 said box ' there /dev/zwave'
	[ "$(life_of box)" = "$(cat "$CASE/life")" ]
S
	# and killed between the two
	guest <<<'kill -KILL "$(systemctl show -p MainPID --value wherryd)"'
	unplug wave
	guest <<'S'
	eventually 60 said box ' gone /dev/zwave'
	[ "$(life_of box)" = "$(cat "$CASE/life")" ]
S
}

line hostile "a container that puts links, files and binds where its devices go gains nothing, on the host or in it"
case_hostile() {
	guest <<'S'
	echo untouched >/etc/wherry-target
	as() {
		echo "wherry.device.$1=usb=0403:6001:ZB1,as=$2,required=false"
	}
	wherry run -d --name evil --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
		--label "$(as a /dev/dir/node)" --label "$(as b /dev/link)" --label "$(as c /dev/file)" --label "$(as d /dev/bind)" \
		--label "$(as e /dev/good)" bb sh -c '
			ln -s /etc /dev/dir; ln -s /etc/wherry-target /dev/link; echo mine >/dev/file
			echo mine >/tmp/f; : >/dev/bind; mount --bind /tmp/f /dev/bind; echo begins; exec seen /dev/good' >/dev/null
	eventually 20 said evil begins
S
	plug_serial wave ZW1
	plug_serial zig ZB1
	guest LINK="$(by_id ZB1)" <<'S'
	eventually 20 said evil ' there /dev/good'
	eventually 20 test -c "$LINK"
	pause 1
	root=/proc/$(pid_of evil)/root
	[ ! -e /etc/node ] && [ "$(cat /etc/wherry-target)" = untouched ] || fail "the host was written to"
	[ ! -e "$root/etc/node" ] || fail "a link was followed in the container"
	[ "$(readlink "$root/dev/dir")" = /etc ] && [ "$(readlink "$root/dev/link")" = /etc/wherry-target ] || fail "links were replaced"
	[ "$(cat "$root/dev/file")" = mine ] && [ "$(cat "$root/tmp/f")" = mine ] || fail "files were replaced"
	! wherry exec evil sh -c 'mknod /tmp/n c 188 0 && exec 3<>/tmp/n' 2>/dev/null || fail "another device opens"
	# and at the way out: what is under the name now is not the device
	wherry exec evil sh -c 'rm /dev/good; ln -s /etc/wherry-target /dev/good'
S
	unplug zig
	guest <<'S'
	eventually 20 grep -q 'udev remove tty /dev/ttyUSB1' "$DATA/uevents.log"
	plugs_again() { wherry ps | grep -q evil; }
	eventually 20 plugs_again
	[ "$(cat /etc/wherry-target)" = untouched ] || fail "the host's file is gone"
	rm /etc/wherry-target
S
}

line directory "--device of a directory is live: what comes into it on the host comes into the container"
case_directory() {
	guest <<'S'
	watcher box /dev/zero -- --device /dev/bus/usb:/dev/bus/usb:rw
	count() {
		ls "/proc/$(pid_of box)/root/dev/bus/usb/001" | wc -l
	}
	eventually 10 count
	count >"$CASE/n"
S
	plug_usb tablet usb-tablet
	guest <<'S'
	count() {
		ls "/proc/$(pid_of box)/root/dev/bus/usb/001" | wc -l
	}
	more() { [ "$(count)" -eq $(($(cat "$CASE/n") + 1)) ]; }
	eventually 20 more
S
	unplug tablet
	guest <<'S'
	count() {
		ls "/proc/$(pid_of box)/root/dev/bus/usb/001" | wc -l
	}
	as_before() { [ "$(count)" -eq "$(cat "$CASE/n")" ]; }
	eventually 20 as_before
S
}
