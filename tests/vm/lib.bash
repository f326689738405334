# tests/vm/lib.bash - the emulated machine of tests/vm/run, seen from this side.

vm() {
	bash "$VM/vm.sh" "$@"
}

# Runs the script of standard input in the guest, after guest/lib.sh; NAME=VALUE arguments are its variables. Its status is the script's.
# One call is one round trip: whatever waits, waits in there.
guest() {
	{
		echo ". /run/w/lib.sh"
		[ $# -eq 0 ] || printf '%q\n' "$@"
		echo 'the_script() {'
		cat
		printf '\n}\nthe_script </dev/null\n'
	} | timeout -k 5 "${GUEST_LIMIT:-300}" bash "$VM/vm.sh" exec "$MACHINE"
}

# The name of a serial adapter's link in /dev/serial/by-id.
by_id() { # SERIAL
	echo "/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_$1-if00-port0"
}

plug_serial() { # ID SERIAL [PORT]
	VM_PORT=${3:-} vm plug "$MACHINE" serial "$1" "$2" >/dev/null || return
	echo "$1" >>"$WORK/plugged"
}

plug_stick() { # ID IMAGE [PORT]
	VM_PORT=${3:-} vm plug "$MACHINE" storage "$1" "$2" >/dev/null || return
	echo "$1" >>"$WORK/plugged"
}

# The image of a stick, $WORK/NAME.img: whole, or in a partition, beside which there is an empty one.
stick() { # NAME vfat|exfat|ext4 LABEL whole|part [MKFS-ARGUMENT...]
	local image=$WORK/$1.img fs=$WORK/$1.fs PATH=$PATH:/sbin:/usr/sbin
	rm -f "$image" "$fs"
	truncate -s 16M "$fs"
	case $2 in
	vfat) mkfs.vfat -n "$3" "${@:5}" "$fs" ;;
	exfat) mkfs.exfat -L "$3" "${@:5}" "$fs" ;;
	ext4) mkfs.ext4 -q -F -L "$3" "${@:5}" "$fs" ;;
	esac >/dev/null || return
	if [ "$4" = whole ]; then
		mv "$fs" "$image"
		return
	fi
	truncate -s 20M "$image"
	printf 'start=2048,size=32768\nstart=34816\n' | sfdisk -q "$image" && dd if="$fs" of="$image" bs=1M seek=1 conv=notrunc,sparse status=none
}

# What was written arrived, and nothing is left to be repaired.
stick_is_clean() { # NAME vfat|exfat|ext4 whole|part
	local image=$WORK/$1.img fs=$WORK/$1.fs PATH=$PATH:/sbin:/usr/sbin
	case $3 in
	whole) cp "$image" "$fs" ;;
	part) dd if="$image" of="$fs" bs=1M skip=1 count=16 conv=sparse status=none ;;
	esac
	case $2 in
	vfat) fsck.vfat -n "$fs" ;;
	exfat) fsck.exfat -n "$fs" ;;
	ext4) e2fsck -fn "$fs" && dumpe2fs -h "$fs" 2>&1 | grep -E '^Filesystem state: +clean$' && ! dumpe2fs -h "$fs" 2>&1 | grep needs_recovery ;;
	esac
}

# Damage that "e2fsck -p" repairs: a wrong number of links, and the mark of one that was not unmounted.
spoil_inode() { # IMAGE
	PATH=$PATH:/sbin:/usr/sbin debugfs -w -f - "$1" >/dev/null 2>&1 <<-'S'
		sif / links_count 9
		ssv state 0
	S
}

# The two copies of the table of clusters differ, which "fsck.vfat -a" repairs.
spoil_fat() { # IMAGE: of mkfs.vfat, 16 MB
	python3 - "$1" <<'P'
import struct, sys
with open(sys.argv[1], "r+b") as f:
    head = f.read(512)
    size, reserved, sectors = (struct.unpack_from("<H", head, at)[0] for at in (11, 14, 22))
    f.seek((reserved + sectors) * size + 40)
    f.write(b"\x33" * 8)
P
}

# Two files with one block: nothing that is repaired without a question.
spoil_blocks() { # IMAGE
	PATH=$PATH:/sbin:/usr/sbin debugfs -w -f - "$1" >/dev/null 2>&1 <<-S
		write $HERE/run one
		write $HERE/lib.bash two
		copy_inode <12> <13>
		ssv state 0
	S
}

# What blkid takes for NTFS: there is no mkfs in the tests' packages, and the guest's kernel cannot mount it anyway.
make_ntfs() { # IMAGE
	python3 - "$1" <<'P'
import struct, sys
d = bytearray(1 << 20)
d[0:11] = b"\xeb\x52\x90NTFS    "
struct.pack_into("<HB", d, 11, 512, 8)  # bytes of a sector, sectors of a cluster
d[21] = 0xF8
struct.pack_into("<HH", d, 24, 63, 255)
struct.pack_into("<QQQ", d, 40, 2047, 4, 8)  # sectors, the file table's cluster, its mirror's
d[64] = 0xF6  # records of 1024 bytes
struct.pack_into("<Q", d, 72, 0x1122334455667788)
d[510:512] = b"\x55\xaa"
for n in range(4):
    at = 4 * 4096 + n * 1024
    d[at : at + 4] = b"FILE"
open(sys.argv[1], "wb").write(d)
P
}

plug_usb() { # ID DRIVER [PORT]
	VM_PORT=${3:-} vm plug "$MACHINE" usb "$1" "$2" >/dev/null || return
	echo "$1" >>"$WORK/plugged"
}

unplug() { # ID
	vm unplug "$MACHINE" "$1" >/dev/null || return
	sed -i "/^$1\$/d" "$WORK/plugged"
}

unplug_all() {
	local id
	for id in $(tac "$WORK/plugged"); do
		vm unplug "$MACHINE" "$id" >/dev/null 2>&1
	done
	: >"$WORK/plugged"
}

# The programs of this build, the libraries they need and the programs of the tests, as one disk: copying them in would take longer than
# all of the cases (the guest is emulated, its processor also decrypts).
make_payload() {
	local at=$WORK/payload one
	rm -rf "$at" && mkdir -p "$at"/{lib,test,images} || return
	DESTDIR=$at/root meson install -C "$BUILD" --no-rebuild >"$WORK/install.log" 2>&1 || { tail "$WORK/install.log"; return 1; }
	find "$at/root" -type f -perm -100 -exec strip {} + 2>/dev/null
	find "$at/root" -type f -perm -100 -exec ldd {} \; 2>/dev/null | awk '$3 ~ /^\// {print $3}' | sort -u |
		xargs -I{} cp -L {} "$at/lib/"
	install -D -m 644 /usr/share/containers/seccomp.json "$at/root/usr/share/containers/seccomp.json" 2>/dev/null
	for one in seen uevents; do
		cc -O2 -Wall -D_GNU_SOURCE -static -o "$at/test/$one" "$HERE/guest/$one.c" || return
	done
	cc -O2 -Wall -D_GNU_SOURCE -o "$at/test/udevclient" "$HERE/guest/udevclient.c" -ludev || return
	cp "$VM/gadget.sh" "$HERE"/guest/*.{sh,py} "$at/test/"
	add_engine_suites "$at" || return
	make_images "$at" || return
	! make_servers || cp -a "$BUILD/vm-servers/files" "$at/servers"
	rm -f "$WORK/payload.img"
	truncate -s "$(($(du -sm "$at" | cut -f1) + 48))M" "$WORK/payload.img"
	PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -F -L wherry-tests -d "$at" "$WORK/payload.img"
}

# Samba and the programs of the kernel's NFS server, unpacked where only the guest sees them; kept in the build directory. Fails where
# apt-get cannot get them.
make_servers() {
	local at=$BUILD/vm-servers one lib
	[ ! -d "$at/files" ] || return 0
	rm -rf "$at" && mkdir -p "$at"/{debs,tree,new/bin,new/lib}
	lib=$at/tree/usr/lib/$(uname -m)-linux-gnu
	# shellcheck disable=SC2086 # a list of names
	(. "$ROOT/tests/packages" && cd "$at/debs" && timeout 300 apt-get download -qq $VM_SERVER_PACKAGES) >"$WORK/servers" 2>&1 || return 1
	for one in "$at"/debs/*.deb; do
		dpkg-deb -x "$one" "$at/tree" || return
	done
	for one in sbin/exportfs sbin/rpc.mountd sbin/rpc.nfsd sbin/smbd bin/smbpasswd; do
		cp "$at/tree/usr/$one" "$at/new/bin/" || return
		LD_LIBRARY_PATH=$lib:$lib/samba:$at/tree/lib/$(uname -m)-linux-gnu ldd "$at/tree/usr/$one"
	done | awk '$3 ~ /^\// {print $3}' | sort -u | grep -vE '/(libc|libm|libpthread|libdl|librt|libresolv)\.so' | xargs -I{} cp -L {} "$at/new/lib/"
	strip "$at"/new/lib/* 2>/dev/null
	mv "$at/new" "$at/files" && rm -rf "$at/debs" "$at/tree"
}

# Suites of tests/integration with bats, and the build's programs under the names that lib.bash has for them.
add_engine_suites() { # PAYLOAD
	local one
	mkdir -p "$1/engine/build/src" "$1/engine/tests" "$1/root/usr/bin" "$1/root/usr/lib" "$1/root/usr/libexec"
	cp -a "$ROOT/tests/integration" "$1/engine/tests/" && rm -rf "$1/engine/tests/integration/js" || return
	for one in wherryd:sbin/wherryd wherry:bin/wherry shim:libexec/wherry/wherry-shim worker:libexec/wherry/wherry-worker; do
		mkdir "$1/engine/build/src/${one%%:*}"
		ln -s "/usr/local/${one#*:}" "$1/engine/build/src/${one%%:*}/"
	done
	# stats.bats wants a docker CLI to be there, if only for tests that are not run here
	mkdir -p "$1/engine/build/docker-cli/usr/bin" && ln -s /usr/local/bin/wherry "$1/engine/build/docker-cli/usr/bin/docker"
	cp -a /usr/bin/bats /usr/bin/tini "$1/root/usr/bin/" && cp -a /usr/lib/bats-core "$1/root/usr/lib/" &&
		cp -a /usr/libexec/bats-core "$1/root/usr/libexec/"
}

# bb: busybox and the programs above. deb: links into /usr, for containers that get the guest's own /usr (-v /usr:/usr:ro).
make_images() { # PAYLOAD
	local bb=$WORK/bb deb=$WORK/deb a
	rm -rf "$bb" "$deb"
	mkdir -p "$bb"/{bin,etc,tmp,root,proc,sys,dev,mnt} "$deb"/{usr,etc,tmp,root,proc,sys,dev,mnt,opt}
	cp /bin/busybox "$1/test/seen" "$bb/bin/"
	for a in $(/bin/busybox --list); do
		[ "$a" = busybox ] || ln -sf busybox "$bb/bin/$a"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000::/tmp:/bin/sh\n' | tee "$bb/etc/passwd" >"$deb/etc/passwd"
	printf 'root:x:0:\ndialout:x:20:bob\nbob:x:1000:\n' | tee "$bb/etc/group" >"$deb/etc/group"
	for a in bin sbin lib lib64; do
		ln -s "usr/$a" "$deb/$a"
	done
	cp "$1/test/udevclient" "$1/test/seen" "$deb/opt/"
	tar -C "$bb" --owner=0 --group=0 -cf "$1/images/bb.tar" . && tar -C "$deb" --owner=0 --group=0 -cf "$1/images/deb.tar" .
}

machine_up() { # 77: it does not boot
	vm up "$MACHINE" || return 77
	: >"$WORK/plugged"
	local blockdev='{"execute":"blockdev-add","arguments":{"node-name":"payload","driver":"raw","read-only":true,"file":{"driver":"file","filename":"'
	blockdev+=$(realpath "$WORK/payload.img")'","read-only":true}}}'
	vm qmp "$MACHINE" "$blockdev" >/dev/null &&
		vm qmp "$MACHINE" '{"execute":"device_add","arguments":{"driver":"virtio-blk-pci","id":"payload","drive":"payload","bus":"rp1","serial":"payload"}}' >/dev/null || return
	timeout 300 bash "$VM/vm.sh" exec "$MACHINE" <<'S'
set -eu
for i in $(seq 600); do [ ! -b /dev/vdb ] || break; sleep 0.1; done
mkdir -p /run/payload /run/w
mount -o ro /dev/vdb /run/payload
cp -a /run/payload/root/usr/. /usr/
for one in /run/payload/lib/*; do
	name=$(basename "$one")
	[ -e "/usr/lib/$(uname -m)-linux-gnu/$name" ] || [ -e "/lib64/$name" ] || ln -s "$one" /usr/local/lib/
done
ldconfig
cp -a /run/payload/test/. /run/w/
mkfifo /run/w/nothing
nohup /run/w/uevents >/run/w/uevents.log 2>&1 </dev/null &
modprobe usb-storage
echo 0 >/sys/module/usb_storage/parameters/delay_use
systemctl daemon-reload
systemctl start wherryd
for image in bb deb; do
	curl -sf --unix-socket /run/wherry/wherry.sock -X POST -H 'Content-Type: application/x-tar' --data-binary @/run/payload/images/$image.tar \
		"http://d/images/create?fromSrc=-&repo=$image&tag=latest" >/dev/null
done
S
}

machine_down() {
	[ ! -d "${VM_DIR:-$HOME/.cache/wherry-vm}/run/$MACHINE" ] || vm stop "$MACHINE" >/dev/null 2>&1
}

# Machines of runs that were killed.
stop_orphans() {
	local one
	for one in "${VM_DIR:-$HOME/.cache/wherry-vm}"/run/wherry-test-*; do
		[ -d "$one" ] && ! kill -0 "${one##*-}" 2>/dev/null && vm stop "$(basename "$one")" >/dev/null 2>&1
	done
	return 0
}
