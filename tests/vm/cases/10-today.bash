# Devices that are there when a container starts, and containers that wait for theirs.

line start "present at start: its node, owner, mode and the data that goes through it"
case_start() {
	plug_serial zig ZB1
	guest LINK="$(by_id ZB1)" <<'S'
	eventually 30 test -c "$LINK"
	watcher box /dev/zigbee -- --device "$LINK:/dev/zigbee"
	eventually 10 said box ' there /dev/zigbee 188:0 '
	[ "$(node_in box /dev/zigbee)" = "$(node_of "$LINK")" ] || fail "$(node_in box /dev/zigbee), not $(node_of "$LINK")"
	wherry run -d --name talk --device "$LINK:/dev/zigbee" bb sh -c 'stty -F /dev/zigbee raw -echo; echo open; exec head -n 1 /dev/zigbee' >/dev/null
	eventually 20 said talk open
S
	# what is sent before a program has it open is lost, as with a real line: again until it is heard
	for _ in $(seq 60); do
		{ echo hello; sleep 1; } | socat - "UNIX-CONNECT:$(vm sock "$MACHINE" zig)" >/dev/null
		! guest <<<'said talk hello' || return 0
	done
	return 1
}

line waits "a missing device: the container waits, says so, and starts by itself on plug-in"
case_waits() {
	guest LINK="$(by_id ZB2)" <<'S'
	wherry run -d --name box --restart always --device "$LINK:/dev/zigbee" bb /bin/seen /dev/zigbee >/dev/null || true
	waits() {
		api GET /containers/box/json | grep -q "device $LINK"
	}
	eventually 20 waits
S
	plug_serial zig ZB2
	guest <<'S'
	eventually 60 said box ' there /dev/zigbee 188:'
S
}
