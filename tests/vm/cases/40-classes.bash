# Linux's own kinds of devices, by class, through drivers that need no hardware.
NEEDS=device_add

line infrared "infrared: a lirc device sends and hears in the container"
case_infrared() {
	guest <<'S'
	wherry run -d --name box -v /usr:/usr:ro --label wherry.device.ir=class=infrared,required=false deb \
		sh -c 'until [ -c /dev/lirc0 ]; do sleep 0.2; done; echo there; exec stdbuf -oL ir-ctl -d /dev/lirc0 -r' >/dev/null
	modprobe rc-loopback
	eventually 30 said box there
	heard() {
		wherry exec box ir-ctl -d /dev/lirc0 -S nec:0x408f
		said box '\+9008 -4504'
	}
	eventually 60 heard
S
}

line serial_acm "serial: ttyACM of a gadget with the vendor and product that were asked for carries data"
case_serial_acm() {
	guest <<'S'
	wherry run -d --name box --label wherry.device.s=usb=0658:0200,as=/dev/zwave,required=false bb \
		sh -c 'until [ -c /dev/zwave ]; do sleep 0.1; done; stty -F /dev/zwave raw -echo; echo there; exec head -n 1 /dev/zwave' >/dev/null
	bash "$DATA/gadget.sh" plug acm 0x0658 0x0200 Silicon ZWave ACM7 acm.0
	eventually 20 said box there
	stty -F /dev/ttyGS0 raw -echo
	heard() {
		timeout 2 sh -c 'echo from the other end >/dev/ttyGS0'
		said box 'from the other end'
	}
	eventually 20 heard
S
}

line video "video: a camera (vivid) opens in the container"
case_video() {
	guest <<'S'
	wherry run -d --name box -v /usr:/usr:ro --label wherry.device.cam=class=video,required=false deb sleep 1000000 >/dev/null
	modprobe vivid
	eventually 30 has_node box /dev/video0
	opens() { wherry exec box v4l2-ctl -d /dev/video0 --info | grep -q vivid; }
	eventually 30 opens
S
}

line audio "audio: a sound card appears with all of its nodes, and plays"
case_audio() {
	guest <<'S'
	wherry run -d --name box -v /usr:/usr:ro --label wherry.device.snd=class=audio,required=false deb sleep 1000000 >/dev/null
	modprobe snd-dummy
	eventually 30 has_node box /dev/snd/pcmC0D0p
	eventually 30 has_node box /dev/snd/controlC0
	plays() { wherry exec box sh -c 'head -c 8000 /dev/zero | aplay -q -D hw:0,0 -f S16_LE -r 8000 -c 2'; }
	eventually 30 plays
S
}

line input "input: an event node of a tablet that is plugged"
case_input() {
	guest <<'S'
	wherry run -d --name box --label wherry.device.in=class=input,required=false bb sleep 1000000 >/dev/null
	ls "/proc/$(pid_of box)/root/dev/input" 2>/dev/null >"$CASE/before" || true
S
	plug_usb tablet usb-tablet
	guest <<'S'
	fresh() {
		local node=/dev/input/event$(basename /sys/bus/usb/devices/1-*/1-*:1.0/*/input/input*/event* | tr -dc 0-9)
		has_node box "$node" && wherry exec box sh -c "exec 3<$node"
	}
	eventually 30 fresh
S
}

line i2c "i2c: a bus is read and written by i2c-tools in the container"
case_i2c() {
	guest <<'S'
	wherry run -d --name box -v /usr:/usr:ro --label wherry.device.bus=class=i2c,required=false deb sleep 1000000 >/dev/null
	modprobe i2c-dev
	modprobe i2c-stub chip_addr=0x50
	bus=
	found() { bus=$(grep -l 'SMBus stub' /sys/bus/i2c/devices/i2c-*/name | head -1 | sed -E 's/.*i2c-([0-9]+).*/\1/') && [ -n "$bus" ]; }
	eventually 20 found
	found
	eventually 30 has_node box "/dev/i2c-$bus"
	wherry exec box sh -c "i2cset -y $bus 0x50 0x10 0x42 && i2cget -y $bus 0x50 0x10" | grep -q 0x42
S
}

line gpio "gpio, i2c and hidraw: a bridge that is plugged; a line is set from the container, and all goes with it"
case_gpio() {
	guest <<'S'
	wherry run -d --name box -v /usr:/usr:ro --label wherry.device.g=class=gpio,required=false --label wherry.device.i=class=i2c,required=false \
		--label wherry.device.raw=class=hidraw,as=/dev/bridge,required=false deb sleep 1000000 >/dev/null
	modprobe uhid
	modprobe i2c-dev
	nohup python3 "$DATA/cp2112.py" >"$CASE/bridge" 2>&1 </dev/null &
	bridge=$!
	eventually 30 has_node box /dev/gpiochip0
	eventually 30 has_node box /dev/bridge
	i2c=$(cd /sys/bus/hid/devices/0003:10C4:EA90.*/ && echo i2c-*)
	eventually 30 has_node box "/dev/$i2c"
	# GPIO_GET_LINEHANDLE_IOCTL: line 3 is an output, and on
	wherry exec -i box python3 - <<'P' 2>"$CASE/err" || fail "$(cat "$CASE/err")"
import fcntl, os, struct
chip = os.open("/dev/gpiochip0", os.O_RDWR)
fcntl.ioctl(chip, 0xC16CB403, bytearray(struct.pack("=I252xI", 3, 2) + b"\1" + bytes(63) + b"test".ljust(32, b"\0") + struct.pack("=Ii", 1, 0)))
P
	eventually 20 grep -q '^set 4 04ff08' "$CASE/bridge"
	kill $bridge
	eventually 20 lacks box /dev/gpiochip0
	eventually 20 lacks box /dev/bridge
	eventually 20 lacks box "/dev/$i2c"
S
}

line spi "spi: a bus appears, is written to, and goes"
case_spi() {
	guest <<'S'
	wherry run -d --name box --label wherry.device.s=class=spi,as=/dev/radio,required=false bb sleep 1000000 >/dev/null
	# a port that is not there, and a bus over its lines: both drivers believe what they are told
	modprobe parport_pc io=0x378 irq=none
	modprobe spi-butterfly
	echo spidev >/sys/bus/spi/devices/spi42.1/driver_override
	echo spi42.1 >/sys/bus/spi/drivers/spidev/bind
	eventually 30 has_node box /dev/radio
	wherry exec box sh -c 'echo to the radio >/dev/radio'
	echo spi42.1 >/sys/bus/spi/drivers/spidev/unbind
	eventually 20 lacks box /dev/radio
S
}
