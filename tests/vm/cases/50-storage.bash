# File systems on USB sticks that come and go, asked for by labels wherry.storage.NAME.
NEEDS=storage_add

line stick_start "sticks at start: by label, by UUID, any; vfat, ext4, exfat; with and without a partition; a stop leaves them clean"
case_stick_start() {
	stick a vfat MEDIA part
	stick b ext4 DATA whole -U 0b0b0b0b-1111-2222-3333-444444444444
	stick c exfat PHOTOS part
	plug_stick a "$WORK/a.img"
	plug_stick b "$WORK/b.img"
	plug_stick c "$WORK/c.img"
	guest <<'S'
	writes() { # NAME RULE DIRECTORY
		wherry run -d --name "$1" --label "wherry.storage.m=$2" bb sh -c "echo $1 >$3/file; exec sleep 1000000" >/dev/null
	}
	dmesg -C
	for label in MEDIA DATA PHOTOS; do
		eventually 30 test -b /dev/disk/by-label/$label
	done
	writes label MEDIA,at=/usb /usb
	writes uuid uuid=0B0B0B0B-1111-2222-3333-444444444444,at=/mnt/data /mnt/data
	writes any any,at=/media,required=true /media/PHOTOS
	eventually 20 has_file label /usb/file
	eventually 20 has_file uuid /mnt/data/file
	eventually 20 has_file any /media/PHOTOS/file
	[ "$(disk_at label /usb)" = "vfat rw,nosuid,nodev,relatime" ] || fail "$(disk_at label /usb)"
	[ "$(disk_at uuid /mnt/data)" = "ext4 rw,nosuid,nodev,relatime" ] || fail "$(disk_at uuid /mnt/data)"
	eventually 20 has_disk any /media/DATA
	[ "$(disk_at any /media/PHOTOS)" = "exfat rw,nosuid,nodev,relatime" ] || fail "$(disk_at any /media/PHOTOS)"
	[ "$(cat "/proc/$(pid_of any)/root/media/MEDIA/file")" = label ]
	! wherry exec any mkdir /media/other 2>/dev/null || fail "written beside the sticks"
	wherry stop -t 1 label uuid any >/dev/null
	eventually 20 nothing_mounted
	for label in MEDIA DATA PHOTOS; do
		eventually 20 nobody_holds "$(readlink -f /dev/disk/by-label/$label)"
	done
	! dmesg | grep -E 'EXT4-fs.*error|FAT-fs.*(error|not properly)|exFAT-fs.*(error|not properly)' || fail "the kernel complains"
S
	unplug a
	unplug b
	unplug c
	stick_is_clean a vfat part
	stick_is_clean b ext4 whole
	stick_is_clean c exfat part
	[ "$(PATH=$PATH:/sbin:/usr/sbin debugfs -R 'cat /file' "$WORK/b.img" 2>/dev/null)" = uuid ]
}

line stick_later "plugged later: in running containers, one may not write; pulled: gone from all; back under another name"
case_stick_later() {
	stick a vfat MEDIA whole
	stick other ext4 OTHER part
	guest <<'S'
	wherry run -d --name box --label wherry.storage.m=MEDIA,at=/mnt/usb,required=false bb sleep 1000000 >/dev/null
	wherry run -d --name reader --label wherry.storage.m=MEDIA,at=/x,required=false,read_only=true bb sleep 1000000 >/dev/null
	! wherry exec box touch /mnt/usb/lost 2>"$CASE/err" || fail "written to the empty place"
	grep -q 'Read-only file system' "$CASE/err"
	life_of box >"$CASE/life"
S
	plug_stick a "$WORK/a.img"
	guest <<'S'
	eventually 20 has_disk box /mnt/usb
	eventually 20 has_disk reader /x
	wherry exec box sh -c 'echo kept >/mnt/usb/file && sync'
	[ "$(wherry exec reader cat /x/file)" = kept ]
	! wherry exec reader touch /x/file2 2>/dev/null || fail "a reader writes"
	[ "$(readlink -f /dev/disk/by-label/MEDIA)" = /dev/sda ]
	wherry device ls >"$CASE/ls"
	grep '^/dev/sda ' "$CASE/ls" | grep -q 'box:/mnt/usb,reader:/x' || fail "$(cat "$CASE/ls")"
	wherry device inspect /dev/disk/by-label/MEDIA | jq -c '[.[0].uses[] | [.name, .rule, .path, .has, .state, .reason]]' >"$CASE/uses"
	[ "$(cat "$CASE/uses")" = '[["box","m","/mnt/usb",true,"mounted",""],["reader","m","/x",true,"mounted",""]]' ] || fail "$(cat "$CASE/uses")"
	wherry inspect box | jq -e '.[0].Mounts[0] | .Type == "bind" and .Destination == "/mnt/usb" and .RW and .Propagation == "rslave"'
	[ "$(storage_state box)" = "m /mnt/usb mounted " ] || fail "$(storage_state box)"
S
	unplug a
	guest <<'S'
	eventually 20 no_disk box /mnt/usb
	eventually 20 no_disk reader /x
	eventually 20 nothing_mounted
	! wherry exec box touch /mnt/usb/lost 2>/dev/null || fail "written to the empty place"
	[ "$(storage_state box)" = "m /mnt/usb waiting " ] || fail "$(storage_state box)"
S
	plug_stick other "$WORK/other.img"
	guest <<<'eventually 30 test -b /dev/disk/by-label/OTHER'
	plug_stick a "$WORK/a.img"
	guest <<'S'
	eventually 20 has_disk box /mnt/usb
	eventually 20 has_disk reader /x
	[ "$(readlink -f /dev/disk/by-label/MEDIA)" = /dev/sdb ]
	[ "$(wherry exec box cat /mnt/usb/file)" = kept ]
	[ "$(life_of box)" = "$(cat "$CASE/life")" ] || fail "not the same process"
	wherry events --since 5m --until 0s --filter container=box >"$CASE/events"
	grep 'storage_remove' "$CASE/events" | grep -q 'label=MEDIA' || fail "$(cat "$CASE/events")"
	[ "$(grep -c 'storage_add' "$CASE/events")" -eq 2 ] || fail "$(cat "$CASE/events")"
S
}

line stick_busy "pulled while containers write to it: writes fail, the place is the empty one again; plugged in, it is there again"
case_stick_busy() {
	stick a ext4 EXT part
	stick b vfat FAT whole
	plug_stick a "$WORK/a.img"
	plug_stick b "$WORK/b.img"
	guest <<'S'
	writer() { # NAME LABEL
		wherry run -d --name "$1" --label "wherry.storage.m=$2,at=/usb" bb sh -c '
			cd /usb
			exec 5>held
			while :; do
				for file in /usb/file held; do
					if dd if=/dev/zero of=$file bs=64k count=8 conv=fsync 2>/tmp/err; then echo wrote $file; else cat /tmp/err; fi
				done
				sleep 0.2
			done' >/dev/null
	}
	writer ext EXT
	writer fat FAT
	eventually 20 said ext 'wrote /usb/file'
	eventually 20 said fat 'wrote /usb/file'
	life_of ext >"$CASE/life"
S
	unplug a
	unplug b
	guest <<'S'
	eventually 20 no_disk ext /usb
	eventually 20 no_disk fat /usb
	eventually 20 nothing_mounted
	eventually 20 said ext 'Read-only file system'
	eventually 20 said fat 'Read-only file system'
	eventually 20 said ext 'held.*(I/O error|Read-only)'
	wherry ps | grep -q ext
S
	plug_stick a "$WORK/a.img"
	plug_stick b "$WORK/b.img"
	guest <<'S'
	eventually 20 has_disk ext /usb
	eventually 20 has_disk fat /usb
	echo "ext: $(readlink -f /dev/disk/by-label/EXT)"
	wherry exec ext sh -c 'echo again >/usb/new && sync && cat /usb/new' | grep -q again
	[ "$(life_of ext)" = "$(cat "$CASE/life")" ] || fail "not the same process"
	wherry rm -f ext fat >/dev/null
	eventually 20 nothing_mounted
	eventually 20 nobody_holds "$(readlink -f /dev/disk/by-label/EXT)"
S
	unplug a
	unplug b
	stick_is_clean a ext4 part
}

line stick_twins "two sticks with one label: the first stays, the second takes its turn; any has both"
case_stick_twins() {
	stick a ext4 TWIN whole
	stick b vfat TWIN part
	plug_stick a "$WORK/a.img"
	guest <<'S'
	wherry run -d --name one --label wherry.storage.m=TWIN,at=/usb bb sleep 1000000 >/dev/null
	wherry run -d --name any --label wherry.storage.m=any,at=/usb bb sleep 1000000 >/dev/null
	eventually 20 has_disk one /usb
	eventually 20 has_disk any /usb/TWIN
S
	plug_stick b "$WORK/b.img"
	guest <<'S'
	eventually 20 has_disk any /usb/TWIN-sdb1
	[ "$(disk_at one /usb)" = "ext4 rw,nosuid,nodev,relatime" ] || fail "$(disk_at one /usb)"
S
	unplug a
	guest <<'S'
	second() { [ "$(disk_at one /usb)" = "vfat rw,nosuid,nodev,relatime" ]; }
	eventually 20 second
	eventually 20 test ! -e "/proc/$(pid_of any)/root/usb/TWIN"
	has_disk any /usb/TWIN-sdb1
S
}

line stick_own "any takes no stick that the machine uses itself: swap, an overlay of /usr, a mount of its own; a label takes the last"
case_stick_own() {
	stick a ext4 DATA part
	plug_stick a "$WORK/a.img"
	guest <<'S'
	# a start waits for what it would have, so that what is not there then is not to come
	has_none() {
		wherry run -d --name any --label wherry.storage.m=any,at=/usb bb sleep 1000000 >/dev/null
		[ -z "$(ls "/proc/$(pid_of any)/root/usb")" ] || fail "$1: $(ls "/proc/$(pid_of any)/root/usb")"
		wherry rm -f any >/dev/null
	}
	is_system() { wherry device inspect sda1 | jq -e '.[0].system'; }
	eventually 30 test -b /dev/disk/by-label/DATA
	mkswap /dev/sda2 >/dev/null
	swapon /dev/sda2
	has_none swap
	echo change >/sys/class/block/sda1/uevent
	eventually 20 is_system
	swapoff /dev/sda2
	mkdir -p /run/own/low /run/own/up /run/own/work
	mount -r /dev/sda1 /run/own/low
	has_none "a mount of its own"
	wherry run -d --name box --label wherry.storage.m=DATA,at=/usb,read_only=true bb sleep 1000000 >/dev/null
	eventually 20 has_disk box /usb
	wherry rm -f box >/dev/null
	eventually 20 nothing_mounted
	mount -t overlay -o lowerdir=/run/own/low,upperdir=/run/own/up,workdir=/run/own/work own /usr/games
	wherry run -d --name box --label wherry.storage.m=DATA,at=/usb,required=false bb sleep 1000000 >/dev/null
	no_disk box /usb || fail "the system's own stick by its label"
	umount /usr/games /run/own/low
	echo change >/sys/class/block/sda1/uevent
	eventually 20 has_disk box /usb
S
}

line stick_fsck "fsck=check: one with errors is read-only; fsck=repair: what can be repaired is written to again"
case_stick_fsck() {
	stick a ext4 ONE whole
	stick b vfat TWO whole
	stick c ext4 THREE whole
	spoil_inode "$WORK/a.img"
	spoil_fat "$WORK/b.img"
	spoil_blocks "$WORK/c.img"
	plug_stick a "$WORK/a.img"
	plug_stick b "$WORK/b.img"
	plug_stick c "$WORK/c.img"
	guest <<'S'
	three() { # NAME POLICY
		wherry run -d --name "$1" --label "wherry.storage.a=ONE,at=/1,fsck=$2" --label "wherry.storage.b=TWO,at=/2,fsck=$2" \
			--label "wherry.storage.c=THREE,at=/3,fsck=$2" bb sleep 1000000 >/dev/null
		eventually 40 has_disk "$1" /1
		eventually 20 has_disk "$1" /2
		eventually 20 has_disk "$1" /3
		disk_at "$1" /1 && disk_at "$1" /2 && disk_at "$1" /3
	}
	[ "$(three checked check | cut -d, -f1 | tr '\n' ' ')" = "ext4 ro vfat ro ext4 ro " ] || fail "$(cat /proc/$(pid_of checked)/mountinfo)"
	storage_state checked | grep -qx 'b /2 degraded fsck.vfat found errors' || fail "$(storage_state checked)"
	wherry rm -f checked >/dev/null
	eventually 20 nothing_mounted
	[ "$(three repaired repair | cut -d, -f1 | tr '\n' ' ')" = "ext4 rw vfat rw ext4 ro " ] || fail "$(cat /proc/$(pid_of repaired)/mountinfo)"
	wherry exec repaired sh -c 'echo 1 >/1/file; echo 2 >/2/file; cat /1/file /2/file' | grep -q 2
	journalctl -u wherryd -o cat | grep mounted_read_only | grep -q 'found errors that it did not repair'
	wherry stop -t 1 repaired >/dev/null
	eventually 20 nothing_mounted
	eventually 20 nobody_holds "$(readlink -f /dev/disk/by-label/ONE)"
	eventually 20 nobody_holds "$(readlink -f /dev/disk/by-label/TWO)"
S
	unplug a
	unplug b
	stick_is_clean a ext4 whole
	stick_is_clean b vfat whole
}

line stick_waits "a missing required stick: the container waits, says so, and starts by itself; NTFS is refused with the kernel's reason"
case_stick_waits() {
	stick a vfat MEDIA part
	make_ntfs "$WORK/n.img"
	guest <<'S'
	wherry run -d --name box --label wherry.storage.m=MEDIA,at=/usb bb sh -c 'echo begins >/usb/said; exec sleep 1000000' >/dev/null
	shown() { wherry ps -a --no-trunc | grep -q 'Waiting for disk labelled MEDIA'; }
	eventually 20 shown
	wherry inspect -f '{{.State.WherryWaitingFor}}' box | grep -qx 'disk labelled MEDIA'
	wherry events --since 5m --until 0s --filter event=waiting | grep -q 'disk labelled MEDIA'
S
	plug_stick n "$WORK/n.img"
	plug_stick a "$WORK/a.img"
	guest <<'S'
	eventually 30 has_file box /usb/said
	modprobe ntfs3 2>/dev/null || modprobe ntfs 2>/dev/null || {
		wherry run -d --name ntfs --label wherry.storage.m=uuid=1122334455667788,at=/usb,required=false bb sleep 1000000 >/dev/null
		told() { journalctl -u wherryd -o cat | grep not_mounted | grep -q 'no file system ntfs'; }
		eventually 20 told
		no_disk ntfs /usb
		[ "$(storage_state ntfs)" = "m /usb failed this kernel has no file system ntfs" ] || fail "$(storage_state ntfs)"
		wherry events --since 5m --until 0s --filter event=storage_failed | grep -q 'reason=this kernel has no file system ntfs'
		wherry run -d --name needs --label wherry.storage.m=uuid=1122334455667788,at=/usb bb sleep 1000000 >/dev/null
		shown() { wherry ps -a --no-trunc | grep -q 'Waiting for disk 1122334455667788 (this kernel has no file system ntfs)'; }
		eventually 20 shown
	}
S
}

line stick_daemon "the daemon is restarted, killed, and gone for good after the last container: what is mounted is put right"
case_stick_daemon() {
	stick a ext4 ONE part
	stick b vfat TWO whole
	plug_stick a "$WORK/a.img"
	guest <<'S'
	wherry run -d --name box --label wherry.storage.a=ONE,at=/1 --label wherry.storage.b=TWO,at=/2,required=false bb sleep 1000000 >/dev/null
	eventually 20 has_disk box /1
	life_of box >"$CASE/life"
	systemctl stop wherryd
S
	unplug a
	plug_stick b "$WORK/b.img"
	guest <<'S'
	eventually 30 test -b /dev/disk/by-label/TWO
	systemctl start wherryd
	eventually 30 has_disk box /2
	eventually 30 no_disk box /1
	[ "$(life_of box)" = "$(cat "$CASE/life")" ]
	kill -KILL "$(systemctl show -p MainPID --value wherryd)"
S
	unplug b
	plug_stick a "$WORK/a.img"
	guest <<'S'
	eventually 60 no_disk box /2
	eventually 20 has_disk box /1
	[ "$(life_of box)" = "$(cat "$CASE/life")" ]
	pid=$(pid_of box)
	systemctl stop wherryd
	kill -KILL "$pid"
	eventually 20 test ! -e "/proc/$pid"
	systemctl start wherryd
	eventually 20 nothing_mounted
	eventually 20 nobody_holds "$(readlink -f /dev/disk/by-label/ONE)"
S
}
