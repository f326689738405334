#!/bin/bash
# mdns_lab.sh DIR COMMAND... - runs COMMAND in network and mount namespaces of its own, with a message bus and avahi-daemon of theirs.
# In them: "lan0" (192.0.2.1/24 and an IPv6 address) leads to namespace PEER (DIR/peer.pid: a process in it), where 192.0.2.2 is;
# DIR/avahi up|down starts and ends avahi-daemon. Everything ends with COMMAND.
set -eu
if [ "${MDNS_LAB:-}" != inside ]; then
	MDNS_LAB=inside exec unshare --net --mount --pid --fork --kill-child --mount-proc "$0" "$@"
fi
dir=$1
shift
mkdir -p "$dir"
mount -t tmpfs tmpfs /run/avahi-daemon 2>/dev/null || { mount -t tmpfs tmpfs /run; mkdir -p /run/avahi-daemon; }
ip link set lo up
unshare --net sleep infinity &
echo $! >"$dir/peer.pid"
until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add lan0 type veth peer name lan1 netns $!
ip address add 192.0.2.1/24 dev lan0
ip -6 address add 2001:db8:1::1/64 dev lan0 nodad
ip link set lan0 up
nsenter --net --target $! sh -c 'ip link set lo up; ip address add 192.0.2.2/24 dev lan1; ip -6 address add 2001:db8:1::2/64 dev lan1 nodad; ip link set lan1 up'
cat >"$dir/bus.conf" <<END
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=$dir/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/></policy></busconfig>
END
cat >"$dir/avahi.conf" <<END
[server]
host-name=box
use-ipv4=yes
use-ipv6=yes
ratelimit-burst=0
[publish]
publish-workstation=no
publish-hinfo=no
END
cat >"$dir/avahi" <<END
#!/bin/bash
if [ "\$1" = up ]; then
	avahi-daemon -f "$dir/avahi.conf" --no-drop-root --no-chroot --no-rlimits >>"$dir/avahi.log" 2>&1 3>&- &
	echo \$! >"$dir/avahi.pid"
else
	kill "\$(cat "$dir/avahi.pid")"
	while kill -0 "\$(cat "$dir/avahi.pid")" 2>/dev/null; do sleep 0.05; done
fi
END
chmod +x "$dir/avahi"
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$dir/bus
dbus-daemon --config-file="$dir/bus.conf" --nofork --nopidfile >"$dir/bus.log" 2>&1 3>&- &
until [ -S "$dir/bus" ]; do sleep 0.05; done
"$@"
