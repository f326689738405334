# USB serial adapters of a running container, asked for by labels.
NEEDS=device_add

ZIGBEE='wherry.device.zigbee=usb=0403:6001:ZB1,as=/dev/zigbee'

line later "plugged later and pulled: there under its name, then gone; no restart of the container"
case_later() {
	guest ZIGBEE="$ZIGBEE" <<'S'
	watcher box /dev/zigbee -- --label "$ZIGBEE,required=false"
	lacks box /dev/zigbee || fail "a node before there is a device"
	life_of box >"$CASE/life"
S
	plug_serial zig ZB1
	guest <<'S'
	eventually 20 said box ' there /dev/zigbee 188:0 '
	[ "$(node_in box /dev/zigbee)" = "$(node_of /dev/ttyUSB0)" ] || fail "$(node_in box /dev/zigbee), not $(node_of /dev/ttyUSB0)"
S
	unplug zig
	guest <<'S'
	eventually 20 said box ' gone /dev/zigbee'
	lacks box /dev/zigbee
S
	plug_serial zig ZB1
	guest <<'S'
	eventually 20 said_times box ' there /dev/zigbee' 2
	[ "$(life_of box)" = "$(cat "$CASE/life")" ] || fail "not the same process"
	wherry events --since 5m --until 0s --filter container=box >"$CASE/events"
	grep -q device_add "$CASE/events" && grep -q device_remove "$CASE/events" || fail "$(cat "$CASE/events")"
S
}

line plain "--device of a node: pulled and back under its name in the running container"
case_plain() {
	plug_serial zig ZB1
	guest <<'S'
	eventually 30 test -c /dev/ttyUSB0
	eventually 20 grep -q 'udev add tty /dev/ttyUSB0' /run/w/uevents.log
	watcher box /dev/ttyUSB0 -- --device /dev/ttyUSB0
	eventually 10 said box ' there /dev/ttyUSB0'
	life_of box >"$CASE/life"
S
	unplug zig
	guest <<<"eventually 20 said box ' gone /dev/ttyUSB0'; lacks box /dev/ttyUSB0"
	plug_serial zig ZB1
	guest <<'S'
	eventually 20 said_times box ' there /dev/ttyUSB0' 2
	[ "$(life_of box)" = "$(cat "$CASE/life")" ]
S
}

line renumbered "pulled while open, and back as ttyUSB1 while the old one is held: under its configured names"
case_renumbered() {
	plug_serial zig ZB1
	guest LINK="$(by_id ZB1)" ZIGBEE="$ZIGBEE" <<'S'
	eventually 30 test -c "$LINK"
	hold='exec 3<$1; echo open; cat <&3 >/dev/null; echo end of file; exec seen "$@"'
	wherry run -d --name label --label "$ZIGBEE" bb sh -c "$hold" sh /dev/zigbee >/dev/null
	wherry run -d --name link --device "$LINK:/dev/stick" bb sh -c "$hold" sh /dev/stick >/dev/null
	wherry run -d --name plain --device /dev/ttyUSB0 bb sh -c "$hold" sh /dev/ttyUSB0 >/dev/null
	for box in label link plain; do
		eventually 20 said $box open
		life_of $box >"$CASE/$box"
	done
S
	unplug zig
	guest <<'S'
	for box in label link plain; do
		eventually 20 said $box 'end of file'
	done
	eventually 20 lacks label /dev/zigbee
	eventually 20 lacks link /dev/stick
	eventually 20 lacks plain /dev/ttyUSB0
S
	plug_serial zig ZB1
	guest LINK="$(by_id ZB1)" <<'S'
	eventually 30 test -c "$LINK"
	[ "$(readlink -f "$LINK")" = /dev/ttyUSB1 ] || fail "the kernel gave $(readlink -f "$LINK")"
	eventually 20 said label ' there /dev/zigbee 188:1 '
	eventually 20 said link ' there /dev/stick 188:1 '
	eventually 20 said plain ' there /dev/ttyUSB0 188:1 '
	for box in label link plain; do
		[ "$(life_of $box)" = "$(cat "$CASE/$box")" ] || fail "$box is not the same process"
	done
S
}

line twins_serial "two adapters told apart by their serial numbers, whichever comes first"
case_twins_serial() {
	guest <<'S'
	watcher box /dev/zigbee /dev/zwave -- --label wherry.device.a=serial=ZB1,as=/dev/zigbee,required=false \
		--label wherry.device.b=serial=ZW1,as=/dev/zwave,required=false
S
	plug_serial wave ZW1
	guest <<<"eventually 20 said box ' there /dev/zwave 188:0 '; lacks box /dev/zigbee"
	plug_serial zig ZB1
	guest <<<"eventually 20 said box ' there /dev/zigbee 188:1 '"
	unplug wave
	guest <<<"eventually 20 said box ' gone /dev/zwave'; has_node box /dev/zigbee"
}

line twins_port "two identical adapters told apart by their USB ports"
case_twins_port() {
	guest <<'S'
	watcher box /dev/left /dev/right -- --label wherry.device.a=class=serial,port=1-3,as=/dev/left,required=false \
		--label wherry.device.b=class=serial,port=1-2,as=/dev/right,required=false
S
	plug_serial one SAME 2
	guest <<<"eventually 20 said box ' there /dev/right 188:0 '; lacks box /dev/left"
	plug_serial two SAME 3
	guest <<'S'
	eventually 20 said box ' there /dev/left 188:1 '
	udevadm info -q property /dev/ttyUSB0 | grep -E '^ID_PATH=' >"$CASE/path"
	. "$CASE/path"
	watcher path /dev/mine -- --label "wherry.device.a=class=serial,port=$ID_PATH,as=/dev/mine"
	eventually 20 said path ' there /dev/mine 188:0 '
S
}

line bypath "--device of a by-path link: what is in that port, whichever adapter it is, and none in another port"
case_bypath() {
	plug_serial zig ZB1 2
	guest LINK="$(by_id ZB1)" <<'S'
	eventually 30 test -c "$LINK"
	find /dev/serial/by-path -name '*:2:1.0-port0' | head -n 1 >"$CASE/port2"
	watcher box /dev/line -- --device "$(cat "$CASE/port2"):/dev/line"
	eventually 10 said box ' there /dev/line 188:0 '
	life_of box >"$CASE/life"
S
	unplug zig
	guest <<<"eventually 20 said box ' gone /dev/line'"
	plug_serial wave ZW1 2
	guest <<<"eventually 20 said_times box ' there /dev/line' 2"
	unplug wave
	guest <<<"eventually 20 said_times box ' gone /dev/line' 2"
	plug_serial zig ZB1 3 # the first one again, elsewhere
	guest LINK="$(by_id ZB1)" <<'S'
	eventually 30 test -c "$LINK"
	known() { wherry device ls | grep -q ZB1; }
	eventually 20 known
	lacks box /dev/line
	# late: it waits for a port as it would for a node
	port4=$(sed 's/:2:/:4:/' "$CASE/port2")
	wherry run -d --name late --restart always --device "$port4:/dev/line" bb seen /dev/line >/dev/null
	waits() { [ "$(wherry inspect -f '{{.State.WherryWaitingFor}}' late)" = "device $port4" ]; }
	eventually 20 waits
S
	plug_serial other XX1 4
	plug_serial wave ZW1 2
	guest <<'S'
	eventually 30 said late ' there /dev/line 188:1 '
	eventually 20 said_times box ' there /dev/line' 3
	[ "$(node_in box /dev/line)" = "$(node_of "$(cat "$CASE/port2")")" ]
	[ "$(life_of box)" = "$(cat "$CASE/life")" ]
S
}

line hub "four adapters on a hub at once, pulled with the hub"
case_hub() {
	local n
	guest <<'S'
	watcher box /dev/s/{ttyUSB0,ttyUSB1,ttyUSB2,ttyUSB3} /dev/h3 -- --label wherry.device.all=usb=0403:6001,as=/dev/s/,required=false \
		--label wherry.device.one=serial=H3,as=/dev/h3,required=false
S
	plug_usb hub usb-hub 4
	guest <<<'eventually 30 test -e /sys/bus/usb/devices/1-4'
	for n in 1 2 3 4; do
		plug_serial "h$n" "H$n" "4.$n"
	done
	guest LINK="$(by_id H3)" <<'S'
	for n in 0 1 2 3; do
		eventually 30 said box " there /dev/s/ttyUSB$n 188:$n "
	done
	eventually 20 said box ' there /dev/h3'
	[ "$(node_in box /dev/h3)" = "$(node_of "$LINK")" ]
	life_of box >"$CASE/life"
	# what pulling the hub is to the kernel
	echo 0 >/sys/bus/usb/devices/1-4/authorized
	for n in 0 1 2 3; do
		eventually 30 said box " gone /dev/s/ttyUSB$n"
	done
	eventually 20 lacks box /dev/h3
	echo 1 >/sys/bus/usb/devices/1-4/authorized
	for n in 0 1 2 3; do
		eventually 30 said_times box " there /dev/s/ttyUSB$n" 2
	done
	[ "$(life_of box)" = "$(cat "$CASE/life")" ]
S
}

line reset "soft reset by the application: the device leaves the bus and comes back"
case_reset() {
	plug_serial zig ZB1 2
	guest LINK="$(by_id ZB1)" ZIGBEE="$ZIGBEE" <<'S'
	eventually 30 test -c "$LINK"
	watcher box /dev/zigbee -- --label "$ZIGBEE"
	eventually 10 said box ' there /dev/zigbee'
	life_of box >"$CASE/life"
	echo 0 >/sys/bus/usb/devices/1-2/authorized
	eventually 20 said box ' gone /dev/zigbee'
	echo 1 >/sys/bus/usb/devices/1-2/authorized
	eventually 20 said_times box ' there /dev/zigbee' 2
	bus=$(cat /sys/bus/usb/devices/1-2/busnum) dev=$(cat /sys/bus/usb/devices/1-2/devnum)
	python3 - "$(printf /dev/bus/usb/%03d/%03d "$bus" "$dev")" <<'P'
import fcntl, os, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_WRONLY), 0x5514)  # USBDEVFS_RESET
P
	# the driver may keep its line through a reset of the bus; what counts is what is there afterwards
	eventually 20 test -c "$LINK"
	same() {
		[ "$(node_in box /dev/zigbee)" = "$(node_of "$LINK")" ]
	}
	eventually 20 same
	[ "$(life_of box)" = "$(cat "$CASE/life")" ]
S
}

line owner "owner, group, mode: the host's, or as the label says; a user of the group opens it"
case_owner() {
	guest <<'S'
	watcher box /dev/mine -- --user 1000:1000 --group-add 20 --label 'wherry.device.a={"usb":"0403:6001","as":"/dev/mine","required":false}'
	watcher own /dev/mine -- --user 1000 --label wherry.device.a=usb=0403:6001,as=/dev/mine,uid=1000,gid=5,mode=0640,required=false
S
	plug_serial zig ZB1
	guest <<'S'
	eventually 20 said box ' there /dev/mine 188:0 0:20 660'
	eventually 20 said own ' there /dev/mine 188:0 1000:5 640'
S
}

line replugs "100 replugs in a row, each within a second of the kernel's event (median and maximum)"
case_replugs() {
	GUEST_LIMIT=900 guest <<'S'
	bash "$DATA/gadget.sh" plug acm 0x0658 0x0200 Silicon ZWave ACM1 acm.0
	eventually 30 test -c /dev/ttyACM0
	watcher box /dev/zwave -- --label wherry.device.zwave=usb=0658:0200,as=/dev/zwave
	eventually 20 said box ' there /dev/zwave'
	life_of box >"$CASE/life"
	at=/proc/$(pid_of box)/root/dev/zwave
	udc=/sys/kernel/config/usb_gadget/acm/UDC
	for n in $(seq 100); do
		echo >$udc
		eventually 20 test ! -e "$at"
		echo dummy_udc.0 >$udc
		eventually 20 test -c "$at"
	done
	eventually 20 said_times box ' there /dev/zwave' 101
	[ "$(life_of box)" = "$(cat "$CASE/life")" ]
	figures "plug to usable" add ttyACM there box /dev/zwave
	figures "pull to gone" remove ttyACM gone box /dev/zwave
S
}

line second "plugged by QEMU: usable in the container within a second of the kernel's event"
case_second() {
	local n
	guest ZIGBEE="$ZIGBEE" <<<'watcher box /dev/zigbee -- --label "$ZIGBEE,required=false"'
	for n in 1 2 3 4 5; do
		plug_serial zig ZB1
		guest <<<"eventually 20 said_times box ' there /dev/zigbee' $n"
		unplug zig
		guest <<<"eventually 20 said_times box ' gone /dev/zigbee' $n"
	done
	guest <<'S'
	figures "plug to usable" add ttyUSB there box /dev/zigbee
	figures "pull to gone" remove ttyUSB gone box /dev/zigbee
S
}
