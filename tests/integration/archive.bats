# A container's files through the API: archive, export, changes, commit, sizes. Seen with curl and the real docker CLI.

load lib

setup_file() {
	daemon_setup
	busybox_image
	export DOCKER
	DOCKER=$(docker_cli)
	# the files every test looks at, in a container that runs and one that does not
	"$DOCKER" run -d --name live -v live-vol:/vol -v live-ro:/ro:ro --tmpfs /tf bb sh -c '
		mkdir -p /d/e; echo hi >/d/f; ln -s /d /ld; ln -s f /d/lf; ln -s /nope /broken; ln -s /d/f/x /bad
		chmod 4755 /d/f; mkfifo /d/fifo; ln /d/f /d/hard; echo ready >/ready; exec sleep 100000' >/dev/null
	eventually 10 "$DOCKER" exec live test -e /ready
	"$DOCKER" create --name made -v made-vol:/var/lib/seeded bb true >/dev/null
}

teardown_file() {
	daemon_teardown
}

# The status of HEAD, and what the header says.
path_stat() {
	curl -s -I --unix-socket "$SOCK" -G --data-urlencode "path=$2" "http://d/v1.45/containers/$1/archive" | tr -d '\r' |
		sed -n 's/^HTTP[^ ]* //p; s/^X-Docker-Container-Path-Stat: //p' |
		while read -r line; do
			case $line in [0-9]*) echo "${line%% *}" ;; *) base64 -d <<<"$line" && echo ;; esac
		done
}

get() {
	curl -s --unix-socket "$SOCK" -G --data-urlencode "path=$2" "http://d/v1.45/containers/$1/archive"
}

# put CONTAINER PATH&OPTIONS FILE: the answer's body and status
put() {
	curl -s -w '%{http_code}' --unix-socket "$SOCK" -X PUT -H 'Content-Type: application/x-tar' --data-binary @"$3" \
		"http://d/v1.45/containers/$1/archive?path=$2"
}

# What has happened so far, one JSON object a line.
happened() {
	curl -s --unix-socket "$SOCK" "http://d/v1.45/events?since=1&until=$(($(date +%s) + 1))"
}

names() {
	tar -tf - | tr '\n' ' '
}

# A tar made by python: NAME TYPE LINK ... , types as tarfile's letters.
make_tar() {
	python3 - "$@" <<-'END'
		import io, sys, tarfile
		with tarfile.open(sys.argv[1], "w") as t:
		    for spec in sys.argv[2:]:
		        name, kind, link = (spec.split(",") + ["", ""])[:3]
		        i = tarfile.TarInfo(name)
		        i.type = {"f": tarfile.REGTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE, "d": tarfile.DIRTYPE}[kind]
		        i.linkname = link
		        i.mode = 0o755 if kind == "d" else 0o644
		        i.size = 4 if kind == "f" else 0
		        t.addfile(i, io.BytesIO(b"new\n"))
	END
}

@test "stat: mode in Go's bits, links not followed but at a trailing slash" {
	[[ "$(path_stat live /d)" == 200*'"name":"d"'*'"mode":2147484141'* ]]
	[[ "$(path_stat live /d/.)" == 200*'"name":"."'* ]]
	[[ "$(path_stat live /d/./)" == 200*'"name":"."'* ]]
	[[ "$(path_stat live ./)" == 200*'"name":"."'* ]]
	[[ "$(path_stat live /d/f)" == 200*'"size":3,"mode":8389101'*'"linkTarget":""'* ]]
	[[ "$(path_stat live /ld)" == 200*'"mode":134218239'*'"linkTarget":"/d"'* ]]
	[[ "$(path_stat live /ld/)" == 200*'"name":"ld"'*'"mode":2147484141'* ]]
	[[ "$(path_stat live /d/lf)" == 200*'"linkTarget":"/d/f"'* ]]
	[[ "$(path_stat live /broken)" == 200*'"linkTarget":"/nope"'* ]]
	[[ "$(path_stat live /d/fifo)" == 200*'"mode":33554852'* ]]
	[[ "$(path_stat live /)" == 200*'"name":"/"'* ]]
	[[ "$(path_stat live /d/f/)" == 400* ]]
	[[ "$(path_stat live /nope)" == 404* ]]
	[[ "$(path_stat live '')" == 400* ]]
	[[ "$(path_stat nobody /)" == 404* ]]
}

@test "get: the archive is rooted at the name that was asked for" {
	[ "$(get live /d | names)" = "d/ d/e/ d/f d/fifo d/hard d/lf " ]
	[ "$(get live /ld/ | names)" = "ld/ ld/e/ ld/f ld/fifo ld/hard ld/lf " ]
	[ "$(get live /d/. | names)" = "./ ./e/ ./f ./fifo ./hard ./lf " ]
	[ "$(get live /ld | names)" = "ld " ]
	[ "$(get live d/f | names)" = "f " ]
	get live /d | tar -tvf - | grep -q 'hard link to d/f'
	[ "$(get live /nope)" = '{"message":"Could not find the file /nope in container live"}' ]
	[[ "$(api GET '/containers/live/archive?path=/d/f' -D - -o /dev/null)" == *Content-Type:\ application/x-tar* ]]
}

@test "get: what the kernel mounted is not read, what users mounted is" {
	"$DOCKER" exec live sh -c 'echo v >/vol/v; echo t >/tf/t; echo s >/dev/shm/s'
	[ "$(get live /vol/v | tar -xOf -)" = v ]
	[ "$(get live /tf/t | tar -xOf -)" = t ]
	[ "$(get live /dev/shm/s | tar -xOf -)" = s ]
	[[ "$(path_stat live /proc/1/environ)" == 404* ]]
	[[ "$(path_stat live /proc/self)" == 404* ]]
	[[ "$(path_stat live /dev/fd/0)" == 404* ]]
	[ "$(get live /proc | names)" = "proc/ " ]
	get live / >"$BATS_TEST_TMPDIR/all.tar"
	tar -tf "$BATS_TEST_TMPDIR/all.tar" >"$BATS_TEST_TMPDIR/all" 2>/dev/null
	grep -q '^/vol/v$' "$BATS_TEST_TMPDIR/all"
	! grep -E '^/(proc|sys|dev)/.' "$BATS_TEST_TMPDIR/all"
}

@test "put: plain, compressed, absolute names; Docker's words when it cannot be" {
	local t=$BATS_TEST_TMPDIR
	make_tar "$t/a.tar" n,f
	for kind in gz xz bz2 zst; do
		case $kind in gz) gzip -k "$t/a.tar" ;; xz) xz -k "$t/a.tar" ;; bz2) bzip2 -k "$t/a.tar" ;; zst) zstd -qk "$t/a.tar" ;; esac
		"$DOCKER" exec live rm -f /d/n
		[ "$(put live /ld "$t/a.tar.$kind")" = 200 ]
		[ "$("$DOCKER" exec live cat /d/n)" = new ]
	done
	make_tar "$t/conf.tar" /conf,f
	[ "$(put live / "$t/conf.tar")" = 200 ]
	[ "$("$DOCKER" exec live cat /conf)" = new ]
	[ "$(put live /tf "$t/a.tar")" = 200 ]
	happened | grep -q '"Action":"extract-to-dir"'
	[ "$("$DOCKER" exec live cat /tf/n)" = new ]
	: >"$t/empty"
	[ "$(put live /d "$t/empty")" = 200 ]
	[ "$(put live /d/f "$t/a.tar")" = '{"message":"extraction point is not a directory"}'$'\n'400 ]
	[ "$(put live /nope "$t/a.tar")" = '{"message":"Could not find the file /nope in container live"}'$'\n'404 ]
	[ "$(put live /ro "$t/a.tar")" = '{"message":"mounted volume is marked read-only"}'$'\n'403 ]
	[[ "$(put live /proc "$t/a.tar")" == *403 ]]
	head -c 600 "$t/a.tar" >"$t/cut.tar"
	[[ "$(put live /d "$t/cut.tar")" == *'unexpected EOF'*400 ]]
}

@test "put: kinds are kept when asked for" {
	local t=$BATS_TEST_TMPDIR
	make_tar "$t/dir.tar" f,d
	make_tar "$t/file.tar" e,f
	[ "$(put live '/d&noOverwriteDirNonDir=true' "$t/dir.tar")" = '{"message":"cannot overwrite non-directory \"/d/f\" with directory \"/d\""}'$'\n'400 ]
	[ "$(put live '/d&noOverwriteDirNonDir=1' "$t/file.tar")" = '{"message":"cannot overwrite directory \"/d/e\" with non-directory \"/d\""}'$'\n'400 ]
	"$DOCKER" exec live mkdir -p /k/e/below
	[ "$(put live /k "$t/file.tar")" = 200 ]
	"$DOCKER" exec live test -f /k/e
}

@test "put: a read-only root takes nothing, a volume in it does" {
	local t=$BATS_TEST_TMPDIR
	make_tar "$t/a.tar" n,f
	"$DOCKER" run -d --name closed --read-only -v closed-vol:/vol bb sleep 100000
	[ "$(put closed /tmp "$t/a.tar")" = '{"message":"container rootfs is marked read-only"}'$'\n'403 ]
	[ "$(put closed /vol "$t/a.tar")" = 200 ]
	"$DOCKER" rm -f closed
	"$DOCKER" create --name closed --read-only -v closed-vol:/vol -v live-ro:/ro:ro bb true
	[ "$(put closed /tmp "$t/a.tar")" = '{"message":"container rootfs is marked read-only"}'$'\n'403 ]
	[ "$(put closed /ro "$t/a.tar")" = '{"message":"mounted volume is marked read-only"}'$'\n'403 ]
	[ "$(put closed /vol "$t/a.tar")" = 200 ]
	"$DOCKER" rm -v closed
}

@test "a container that never ran: its volume has the image's content already, and keeps what is put there" {
	local t=$BATS_TEST_TMPDIR
	make_tar "$t/a.tar" n,f
	[ "$(put made /var/lib/seeded "$t/a.tar")" = 200 ]
	[ "$(get made /var/lib/seeded | names)" = "seeded/ seeded/file seeded/n " ]
	"$DOCKER" start -a made
	[ "$(get made /var/lib/seeded | names)" = "seeded/ seeded/file seeded/n " ]
	[ "$("$DOCKER" run --rm -v made-vol:/x bb ls /x | tr '\n' ' ')" = "file n " ]
}

@test "owners, modes, times, hard links, attributes, capabilities and holes come through" {
	local t=$BATS_TEST_TMPDIR
	python3 - "$t/rich.tar" <<-'END'
		import io, struct, sys, tarfile
		with tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT) as t:
		    i = tarfile.TarInfo("cap")
		    i.size, i.mode, i.uid, i.gid = 3, 0o4711, 1234, 4321
		    i.pax_headers = {"mtime": "1234567890.123456789",
		        "SCHILY.xattr.security.capability": struct.pack("<5I", 0x02000001, 0x400, 0, 0, 0).decode("latin1"),
		        "SCHILY.xattr.user.note": "hello"}
		    t.addfile(i, io.BytesIO(b"abc"))
		    i = tarfile.TarInfo("link"); i.type, i.linkname = tarfile.LNKTYPE, "cap"
		    t.addfile(i)
		    i = tarfile.TarInfo("long/" + "x" * 200); i.size = 1
		    t.addfile(i, io.BytesIO(b"y"))
		    i = tarfile.TarInfo("holes"); i.size = 8 << 20
		    t.addfile(i, io.BytesIO(b"\0" * (8 << 20)))
	END
	"$DOCKER" exec live mkdir /rich
	[ "$(put live /rich "$t/rich.tar")" = 200 ]
	[ "$("$DOCKER" exec live stat -c '%a %u:%g %h' /rich/cap)" = "4711 1234:4321 2" ]
	[ "$("$DOCKER" exec live du -k /rich/holes | cut -f1)" = 0 ]
	get live /rich >"$t/back.tar"
	mkdir "$t/out"
	tar --xattrs --xattrs-include='*' --same-owner -xpf "$t/back.tar" -C "$t/out"
	[ "$(stat -c '%a %u:%g %h %y' "$t/out/rich/cap")" = "4711 1234:4321 2 2009-02-13 23:31:30.123456789 +0000" ]
	python3 - "$t/out/rich" "$t/rich.tar" <<-'END'
		import os, sys
		root = sys.argv[1]
		assert os.getxattr(root + "/cap", "user.note") == b"hello"
		assert len(os.getxattr(root + "/cap", "security.capability")) == 20
		assert os.path.getsize(root + "/holes") == 8 << 20
		assert open(root + "/long/" + "x" * 200).read() == "y"
	END
}

@test "export: the root file system of a container that runs and of one that does not" {
	local t=$BATS_TEST_TMPDIR
	"$DOCKER" exec live sh -c 'echo v >/vol/v'
	"$DOCKER" export live >"$t/live.tar"
	tar -tf "$t/live.tar" >"$t/live"
	grep -qx 'd/f' "$t/live"
	grep -qx 'bin/busybox' "$t/live"
	grep -qx 'vol/' "$t/live"
	! grep -E '^(vol|proc|sys|dev)/.' "$t/live"
	"$DOCKER" export -o "$t/made.tar" made
	tar -tf "$t/made.tar" | grep -qx 'bin/busybox'
	[[ "$(api GET /containers/nobody/export)" == *'No such container: nobody'* ]]
	happened | grep '"Action":"export"' | grep -q '"name":"live"'
}

@test "changes: added, modified, deleted, parents, opaque directories; not what the runtime made" {
	"$DOCKER" run --name changed -v changed-vol:/mnt/vol bb sh -c '
		echo >/new; rm -r /home/bob; mkdir /home/bob; echo >/home/bob/mine; rm /etc/group; echo x >>/etc/passwd
		touch /root; chmod 700 /tmp; cat /bin/busybox >/dev/null; rm /var/lib/seeded/file; mkdir -p /a/b'
	[ "$("$DOCKER" diff changed | LC_ALL=C sort | tr '\n' ' ')" = \
		"A /a A /a/b A /home/bob/mine A /mnt A /mnt/vol A /new C /etc C /etc/passwd C /home C /home/bob C /tmp C /var C /var/lib C /var/lib/seeded D /etc/group D /var/lib/seeded/file " ]
	"$DOCKER" create --name unchanged bb true
	[ "$(api GET /containers/unchanged/changes)" = null ]
	"$DOCKER" rm -v changed unchanged
}

# The kernel takes 2^32-1 for "as it is": the file would stay root's, and setuid.
@test "put: an owner that is no uid is refused" {
	local t=$BATS_TEST_TMPDIR owner
	for owner in 'uid = 4294967295' 'uid = 4294967296' 'gid = 4294967295' 'gid = 1 << 40'; do
		python3 - "$t/owner.tar" "$owner" <<-'END'
			import sys, tarfile
			with tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT) as t:
			    i = tarfile.TarInfo("owned")
			    i.mode = 0o4755
			    exec("i." + sys.argv[2])
			    t.addfile(i)
		END
		[[ "$(put live /d "$t/owner.tar")" == *"'owned' is of owner "*400 ]]
		"$DOCKER" exec live test ! -e /d/owned
	done
}

# dockerd makes a layer of it in which the file beside is gone.
@test "a file whose name begins with .wh. becomes no whiteout: commit and build refuse it" {
	local t=$BATS_TEST_TMPDIR
	"$DOCKER" run --name hides bb touch /etc/.wh.passwd
	[[ "$(api POST '/commit?container=hides&repo=hidden' -w '%{http_code}')" == \
		*'cannot make a layer of etc/.wh.passwd: in a layer, a name that begins with .wh. removes a file'*400 ]]
	"$DOCKER" rm hides
	printf 'FROM bb\nRUN touch /etc/.wh.passwd\n' >"$t/Dockerfile"
	run env DOCKER_BUILDKIT=0 "$DOCKER" build "$t"
	[ "$status" -ne 0 ]
	[[ "$output" == *'cannot make a layer of etc/.wh.passwd'* ]]
	[ -z "$("$DOCKER" images -q hidden)" ]
}

@test "commit: layer, configuration, history, event; and the container thaws" {
	local id
	id=$("$DOCKER" commit -a 'An Author' -m 'a comment' -c 'ENV A=1 B=$PATH' -c 'CMD ["cat", "/d/f"]' live kept:1)
	[[ $id == sha256:* ]]
	[ "$("$DOCKER" inspect -f '{{.State.Status}}' live)" = running ]
	[ "$("$DOCKER" run --rm kept:1)" = hi ]
	[ "$("$DOCKER" inspect -f '{{.Author}}|{{.Comment}}|{{index .Config.Env 0}}|{{json .Config.Cmd}}' kept:1)" = 'An Author|a comment|A=1|["cat","/d/f"]' ]
	[ "$("$DOCKER" history --format '{{.Comment}}' kept:1 | head -1)" = 'a comment' ]
	[ "$("$DOCKER" run --rm kept:1 sh -c 'stat -c %a /d/f; test /d/f -ef /d/hard; echo $?; ls -A /vol; ls -A /tf' | tr '\n' ' ')" = "4755 0 " ]
	happened | grep '"Action":"commit"' | grep '"comment":"a comment"' | grep -q '"imageRef":"kept:1"'
	[[ "$(api POST '/commit?container=live&changes=RUN+x')" == *'RUN is not a valid change command'* ]]
	[[ "$(api POST '/commit?container=nobody')" == *'No such container: nobody'* ]]
	# a container that changed nothing gives an image without another layer
	"$DOCKER" create --name idle bb true
	"$DOCKER" commit idle kept:2
	[ "$("$DOCKER" inspect -f '{{len .RootFS.Layers}}' kept:2)" = "$("$DOCKER" inspect -f '{{len .RootFS.Layers}}' bb)" ]
	"$DOCKER" rm idle
	"$DOCKER" rmi kept:1 kept:2
}

@test "sizes are what a container has written and what it has below" {
	"$DOCKER" run --name sized bb sh -c 'head -c 5000 /dev/zero >/five; ln /five /again'
	[ "$(api GET '/containers/sized/json?size=1' | python3 -c 'import json,sys; print(json.load(sys.stdin)["SizeRw"])')" = 5000 ]
	[ "$(api GET '/containers/json?all=1&size=1&filters=%7B%22name%22:%5B%22sized%22%5D%7D' |
		python3 -c 'import json,sys; c=json.load(sys.stdin)[0]; print(c["SizeRw"], c["SizeRootFs"] > 1000000)')" = "5000 True" ]
	! api GET /containers/sized/json | grep -q SizeRw
	"$DOCKER" rm sized
}

# --- a container that fights back ---

@test "a swapped path component never leads to the host, not out and not in (CVE-2018-15664, GHSA-rg2x-37c3-w2rh)" {
	local t=$BATS_TEST_TMPDIR i
	# the host has the same names: whoever follows a link outside of the container finds these
	mkdir -p "$t/host/in"
	echo secret >"$t/host/in/secret"
	"$DOCKER" run -d --name swapper bb sh -c "
		mkdir -p /s/real/in $t/host/in; echo mine >/s/real/in/secret; echo mine >$t/host/in/secret; ln -s $t/host /s/link
		echo ready >/ready
		while :; do mv /s/real /s/x; mv /s/link /s/real; mv /s/real /s/link; mv /s/x /s/real; done"
	eventually 10 "$DOCKER" exec swapper test -e /ready
	make_tar "$t/a.tar" put,f put-dir,d put-dir/f,f put-link,l,/etc put-hard,h,put
	# often, and on until both ways have been gone: the path is not there at each moment
	for i in $(seq 500); do
		get swapper /s/real/in/secret | tar -xOf - 2>/dev/null >>"$t/got" || true
		get swapper /s/real | tar -xOf - 2>/dev/null >>"$t/got" || true
		put swapper /s/real/in "$t/a.tar" >>"$t/answers"
		[ "$i" -lt 25 ] || ! grep -q mine "$t/got" || ! grep -q 200 "$t/answers" || break
	done
	"$DOCKER" rm -f swapper
	grep -q mine "$t/got"
	! grep -q secret "$t/got"
	grep -q 200 "$t/answers"
	[ "$(find "$t/host" | LC_ALL=C sort | tr '\n' ' ')" = "$t/host $t/host/in $t/host/in/secret " ]
}

@test "links of the image that are absolute go on working" {
	local t=$BATS_TEST_TMPDIR
	make_tar "$t/a.tar" lock/n,f
	"$DOCKER" exec live sh -c 'mkdir -p /run/lock && rm -rf /var/run && ln -s /run /var/run'
	[ "$(put live /var/run "$t/a.tar")" = 200 ]
	[ "$("$DOCKER" exec live cat /run/lock/n)" = new ]
	[ "$(get live /var/run/lock/n | tar -xOf -)" = new ]
	make_tar "$t/b.tar" var/run/lock/m,f
	[ "$(put live / "$t/b.tar")" = 200 ]
	[ "$("$DOCKER" exec live cat /run/lock/m)" = new ]
}

@test "an archive whose links chain outwards stays in the container (CVE-2026-17106)" {
	local t=$BATS_TEST_TMPDIR
	mkdir "$t/host"
	make_tar "$t/a.tar" "a,l,$t" "a/host/pwned,f" "up,l,../../../../../../../..$t/host" "up/pwned,f" "h,h,up/pwned" "a/host/dir,d"
	"$DOCKER" exec live mkdir -p /chain
	put live /chain "$t/a.tar"
	[ -z "$(ls -A "$t/host")" ]
	make_tar "$t/b.tar" ../../up,f
	[[ "$(put live /chain "$t/b.tar")" == *'is outside of'*400 ]]
}

@test "no program and no library of the container is run or loaded (GHSA-x86f-5xw2-fm2r, CVE-2019-14271)" {
	local t=$BATS_TEST_TMPDIR
	# a worker that made this root its own would find these first
	"$DOCKER" exec live sh -c 'for p in xz unxz gzip unpigz bzip2 zstd; do
		rm -f /bin/$p; printf "#!/bin/sh\necho pwned >/pwned\n" >/bin/$p; chmod 755 /bin/$p; done
		mkdir -p /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu/gconv; for l in libnss_files.so.2 libnss_compat.so.2; do
		echo junk >/lib/x86_64-linux-gnu/$l; done; echo junk >/usr/lib/x86_64-linux-gnu/gconv/gconv-modules
		echo "passwd: files evil" >/etc/nsswitch.conf'
	make_tar "$t/a.tar" n,f "$(printf 'n\303\244me'),f"
	for kind in gz xz bz2 zst; do
		case $kind in gz) gzip -k "$t/a.tar" ;; xz) xz -k "$t/a.tar" ;; bz2) bzip2 -k "$t/a.tar" ;; zst) zstd -qk "$t/a.tar" ;; esac
		[ "$(put live /d "$t/a.tar.$kind")" = 200 ]
	done
	get live /d >/dev/null
	! "$DOCKER" exec live test -e /pwned
}

@test "FIFOs and devices are packed, never opened; a process that ends meanwhile is no harm" {
	"$DOCKER" run -d --name ends bb sh -c 'mkdir /q; mkfifo /q/fifo; mknod /q/null c 1 3; echo x >/q/x; echo >/ready; exec sleep 100000'
	eventually 10 "$DOCKER" exec ends test -e /ready
	[ "$(get ends /q | names)" = "q/ q/fifo q/null q/x " ]
	get ends /q/fifo | tar -tvf - | grep -q '^p'
	"$DOCKER" kill ends
	[ "$(get ends /q | names)" = "q/ q/fifo q/null q/x " ]
	"$DOCKER" start ends
	"$DOCKER" rm -f ends
}

@test "a paused container gives and takes files" {
	local t=$BATS_TEST_TMPDIR
	make_tar "$t/a.tar" paused,f
	"$DOCKER" pause live
	[ "$(put live /d "$t/a.tar")" = 200 ]
	[ "$(get live /d/paused | tar -xOf -)" = new ]
	"$DOCKER" unpause live
}

@test "a client that leaves in the middle ends the worker; a start waits for the reader of a stopped one" {
	"$DOCKER" exec live sh -c 'head -c 50000000 /dev/urandom >/big'
	get live /big | head -c 1000 >/dev/null
	eventually 10 no_workers
	"$DOCKER" run --name large bb sh -c 'head -c 50000000 /dev/urandom >/big'
	get large /big | head -c 1000 >/dev/null
	"$DOCKER" start -a large
	eventually 10 no_workers
	# and one that is removed while it is read
	(get large /big | (head -c 1000 >/dev/null; sleep 1)) &
	"$DOCKER" rm -f large
	wait
	eventually 10 no_workers
}

@test "a client that stalls in the middle does not keep a container from its start" {
	"$DOCKER" run --name stalled bb sh -c 'head -c 20000000 /dev/urandom >/big'
	mkfifo "$BATS_TEST_TMPDIR/body"
	curl -s --unix-socket "$SOCK" -X PUT -T - "http://d/v1.45/containers/stalled/archive?path=/" <"$BATS_TEST_TMPDIR/body" \
		>"$BATS_TEST_TMPDIR/put" 3>&- 9>&- &
	local put=$!
	exec 9>"$BATS_TEST_TMPDIR/body"
	head -c 600 "$DIR/bb.tar" >&9
	eventually 10 pgrep -P "$(cat "$DIR/daemon.pid")" wherry-worker
	python3 "$BATS_TEST_DIRNAME/hostile_clients.py" "$SOCK" "$BATS_TEST_TMPDIR/stalls" stall 1 "/v1.45/containers/stalled/archive?path=/big" 3>&- 9>&- &
	local stalls=$!
	eventually 10 test -e "$BATS_TEST_TMPDIR/stalls"
	timeout 100 "$DOCKER" start -a stalled 9>&- # both are given up
	eventually 10 no_workers
	exec 9>&-
	wait $put # it hears of it when it has said all
	grep -q 'the client did not go on' "$BATS_TEST_TMPDIR/put"
	wait $stalls
	"$DOCKER" rm -f stalled
}

no_workers() {
	! pgrep -P "$(cat "$DIR/daemon.pid")" wherry-worker
}

@test "a bomb stops at the end of the disk, the daemon goes on" {
	local t=$BATS_TEST_TMPDIR
	"$DOCKER" run -d --name small --tmpfs /small:size=1m bb sleep 100000
	python3 - "$t/bomb.tar.gz" <<-'END'
		import io, os, sys, tarfile
		with tarfile.open(sys.argv[1], "w:gz", compresslevel=1) as t:
		    i = tarfile.TarInfo("bomb"); i.size = 4 << 20
		    t.addfile(i, io.BytesIO(b"x" * (4 << 20)))
	END
	[[ "$(put small /small "$t/bomb.tar.gz")" == *'no space left on device'*500 ]]
	[[ "$(path_stat small /small)" == 200* ]]
	"$DOCKER" rm -f small
}

# --- our own command line ---

@test "wherry cp: both directions, trailing slashes, -L, tar streams" {
	local t=$BATS_TEST_TMPDIR
	cd "$t"
	mkdir -p src/sub
	echo a >src/a
	ln -s a src/l
	ln -s src ls
	"$WHERRY" cp live:/d/f out
	[ "$(cat out)" = hi ]
	"$WHERRY" cp live:/ld .
	[ "$(readlink ld)" = /d ]
	"$WHERRY" cp -L live:/d/lf followed
	[ -f followed ] && [ ! -L followed ]
	"$WHERRY" cp live:/d/. here
	[ -f here/f ] && [ "$(stat -c %u here/f)" = "$(id -u)" ]
	run "$WHERRY" cp live:/d out
	[ "$status $output" = "1 cannot copy directory" ]
	run "$WHERRY" cp live:/nope .
	[ "$output" = "Error response from daemon: Could not find the file /nope in container live" ]
	"$DOCKER" exec live mkdir -p /cp
	"$WHERRY" cp src live:/cp
	"$WHERRY" cp src/. live:/cp/new
	"$WHERRY" cp ls/ live:/cp/slash
	"$WHERRY" cp src/a live:/cp/file
	tar -cf - src | "$WHERRY" cp - live:/cp/new
	[ "$("$DOCKER" exec live sh -c 'cd /cp; find . -type f | sort' | tr '\n' ' ')" = "./file ./new/a ./new/src/a ./slash/a ./src/a " ]
	[ "$("$WHERRY" cp live:/cp/src - | tar -tf - | tr '\n' ' ')" = "src/ src/a src/l src/sub/ " ]
	run "$WHERRY" cp src live:/cp/file
	[ "$status $output" = "1 cannot copy directory" ]
	run "$WHERRY" cp live:/a live:/b
	[ "$output" = "copying between containers is not supported" ]
}

@test "wherry cp: what a container sends stays where it was asked for" {
	local t=$BATS_TEST_TMPDIR
	mkdir "$t/host" "$t/to"
	"$DOCKER" exec live sh -c "mkdir -p /evil && ln -s $t/host /evil/link && echo x >/evil/f"
	"$WHERRY" cp live:/evil "$t/to"
	[ "$(readlink "$t/to/evil/link")" = "$t/host" ]
	# a second copy, of a file below that link's name, must not go through it
	"$DOCKER" exec live sh -c "rm /evil/link && mkdir /evil/link && echo pwned >/evil/link/pwned"
	run "$WHERRY" cp live:/evil "$t/to"
	[ "$status" = 1 ]
	[ -z "$(ls -A "$t/host")" ]
}

@test "wherry cp -a gives files to the container's user; diff, export and commit" {
	local t=$BATS_TEST_TMPDIR
	echo x >"$t/x"
	"$WHERRY" create --name owned -u bob bb sh -c 'stat -c %u:%g /home/bob/x'
	"$WHERRY" cp -a "$t/x" owned:/home/bob/x
	[ "$("$WHERRY" start -a owned)" = 1000:1000 ]
	[ "$("$WHERRY" diff owned)" = "$("$DOCKER" diff owned)" ]
	"$WHERRY" diff owned | grep -qx 'A /home/bob/x'
	"$WHERRY" export -o "$t/o.tar" owned
	tar -tf "$t/o.tar" | grep -qx home/bob/x
	"$WHERRY" commit -a Me -m note -c 'LABEL k=v' owned cli:1
	[ "$("$WHERRY" inspect -f '{{.Author}} {{.Comment}} {{.Config.Labels.k}}' cli:1)" = "Me note v" ]
	"$WHERRY" rm owned
	"$WHERRY" rmi cli:1
}

@test "wherry compose: configs and secrets by content reach a service; compose cp both ways" {
	local t=$BATS_TEST_TMPDIR
	cd "$t"
	cat >compose.yaml <<-'END'
		name: arch
		services:
		  one:
		    image: bb
		    command: sh -c 'cat /conf /run/secrets/word; exec sleep 100000'
		    configs: [{source: conf, target: /conf, mode: 0440}]
		    secrets: [word]
		configs: {conf: {content: "from content\n"}}
		secrets: {word: {environment: WORD}}
	END
	WORD="from environment" "$WHERRY" compose up -d
	export WORD=x
	eventually 10 "$WHERRY" compose exec -T one cat /conf
	[ "$("$WHERRY" compose exec -T one cat /conf /run/secrets/word)" = $'from content\nfrom environment' ]
	echo mine >here
	"$WHERRY" compose cp here one:/there
	"$WHERRY" compose cp one:/there back
	[ "$(cat back)" = mine ]
	[ "$("$WHERRY" compose cp one:/there - | tar -xOf -)" = mine ]
	run "$WHERRY" compose cp here two:/there
	[ "$output" = 'no container found for service "two"' ]
	"$WHERRY" compose down -t 0
}
