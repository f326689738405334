#!/usr/bin/env bats
# Builds that mean harm: what they may not reach, and what they may not use up. The daemon's disk is a small one of the test's own.
# More of this kind, by what it attacks: build_mounts.py, build_remote.py, build_steps.py, unit worker build_session.
load lib.bash

setup_file() {
	local disk
	daemon_setup
	daemon_signal TERM
	disk=$DIR/data
	rm -rf "$disk" && mkdir "$disk"
	mount -t tmpfs -o size=192m wherry-test "$disk"
	daemon_start
	busybox_image
	eventually 20 settled
	used >"$DIR/used"
}

teardown_file() {
	daemon_teardown
}

teardown() {
	# whatever a build was, nothing of it goes on
	eventually 60 settled
	[ "$(curl -s --unix-socket "$SOCK" http://d/_ping)" = OK ]
}

used() {
	df -k --output=used "$DIR/data" | tail -1
}

settled() {
	[ -z "$(find "$DIR/data/layers/tmp" -mindepth 1 -maxdepth 1)" ] &&
		! pgrep -P "$(cat "$DIR/daemon.pid")" >/dev/null &&
		[ -z "$(find /sys/fs/cgroup -maxdepth 3 -path "*/wherry-test-$TAG/build-*" -type d)" ]
}

# post QUERY <TAR: the classic call; sets status and output.
post() {
	status=$(curl -s -o "$DIR/answer" -w '%{http_code}' --unix-socket "$SOCK" -X POST -H 'Content-Type: application/x-tar' \
		--data-binary @- "http://d/v1.43/build?$1")
	output=$(jq -rj '.stream // .message // .error // empty' <"$DIR/answer" 2>/dev/null || cat "$DIR/answer")
}

# dockerfile TEXT [QUERY]
dockerfile() {
	rm -rf "$DIR/context" && mkdir "$DIR/context"
	printf '%b' "$1" >"$DIR/context/Dockerfile"
	post "${2:-nocache=1}" < <(tar -C "$DIR/context" -c .)
}

@test "a fork bomb meets the limit of processes, and nothing of it stays" {
	dockerfile 'FROM bb\nRUN n=0; while [ $n -lt 5000 ]; do sleep 4712 & n=$((n + 1)); done; echo all of them\n'
	[[ $output == *fork* ]] || fail "$output"
	[[ $output != *$'\nall of them'* ]] || fail "$output"
	[ -z "$(pgrep -f 'sleep 4712')" ]
}

@test "processes that outlive the command end with the step" {
	dockerfile 'FROM bb\nRUN (trap "" TERM HUP; setsid sleep 4713 >/dev/null 2>&1 </dev/null &) ; setsid sh -c "sleep 4713 & sleep 4713" >/dev/null 2>&1 & sleep 0.1\n'
	[[ $output == *"Successfully built"* ]] || fail "$output"
	[ -z "$(pgrep -f 'sleep 4713')" ]
}

@test "a step cannot mount, nor change what it was given" {
	dockerfile 'FROM bb\nRUN ! mount -t tmpfs none /tmp && ! mount --bind /etc /tmp && ! umount /proc && ! umount /etc/hosts && ! mount -o remount,rw /sys && mknod /tmp/disk b 7 0 && ! cat /tmp/disk\nRUN [ -z "$(head -c 4 /proc/kcore)" ] && ! echo b >/proc/sysrq-trigger && ! echo x >/proc/sys/kernel/core_pattern\n'
	[[ $output == *"Successfully built"* ]] || fail "$output"
}

@test "endless output is cut, the build goes on" {
	dockerfile 'FROM bb\nRUN yes 0123456789abcdef | head -c 40000000\nRUN echo after\n'
	[[ $output == *"output clipped, log limit 2MiB reached"*"after"*"Successfully built"* ]] || fail "${output: -300}"
	[ "${#output}" -lt 2300000 ]
}

@test "Dockerfiles without an end, and ten thousand stages" {
	mkdir -p "$DIR/big"
	{ echo FROM bb; yes 'LABEL a=bcdefghijklmnopqrstuvwxyz' | head -c 5000000; } >"$DIR/big/Dockerfile"
	post x=1 < <(tar -C "$DIR/big" -c .)
	[ "$status" -eq 400 ]
	seq -f 'FROM bb AS s%.0f' 10000 >"$DIR/big/Dockerfile"
	post x=1 < <(tar -C "$DIR/big" -c .)
	[ "$status" -eq 400 ]
	[[ $output == *"more than"* ]] || fail "$output"
	{ printf 'FROM bb\nRUN echo '; head -c 3000000 /dev/zero | tr '\0' 'x'; } >"$DIR/big/Dockerfile"
	post x=1 < <(tar -C "$DIR/big" -c .) # an argument may be 128 KiB: the step fails, nothing else
	[[ $output != *"Successfully built"* ]] || fail "${output: -300}"
	rm -rf "$DIR/big"
}

@test "triggers without an end" {
	{ echo 'FROM bb'; yes 'ONBUILD LABEL a=b' | head -101; } >"$DIR/triggers"
	dockerfile "$(cat "$DIR/triggers")\n" t=triggers
	[[ $output == *"Successfully built"* ]] || fail "$output"
	dockerfile 'FROM triggers\n'
	[[ $output == *"more than 100 ONBUILD triggers"* ]] || fail "$output"
	dockerfile 'FROM bb\nONBUILD ONBUILD RUN true\n'
	[[ $output == *"Dockerfile:2: Chaining ONBUILD"*"isn't allowed"* ]] || fail "$output"
	"$WHERRY" rmi -f triggers >/dev/null
}

@test "names of Dockerfiles and ignore files stay in the context" {
	for name in ../../../../../../etc/passwd /etc/passwd ../Dockerfile %2e%2e%2fDockerfile; do
		dockerfile 'FROM bb\nRUN echo reached\n' "dockerfile=$name"
		[ "$status" -eq 400 ] || [[ $output == *reached* && $name == *Dockerfile ]] || fail "$name: $status $output"
		[[ $output != *root:x* ]] || fail "$output"
	done
	rm -rf "$DIR/context" && mkdir "$DIR/context"
	printf 'FROM bb\nCOPY . /c\nRUN ls -A /c | wc -l\n' >"$DIR/context/Dockerfile"
	ln -s /etc/passwd "$DIR/context/.dockerignore"
	post nocache=1 < <(tar -C "$DIR/context" -c .)
	[[ $output != *root:x* ]] || fail "$output"
	rm "$DIR/context/.dockerignore"
	printf '*\n' >"$DIR/context/.dockerignore"
	touch "$DIR/context/file"
	post nocache=1 < <(tar -C "$DIR/context" -c .)
	[[ $output == *$'\n0\n'*"Successfully built"* ]] || fail "$output"
}

# CVE-2026-44517 and its kin: a link is made first, then something is put through it.
@test "a context whose links lead outside writes nothing there" {
	python3 - "$DIR" >"$DIR/evil.tar" <<-'PY'
		import io, sys, tarfile
		out = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")
		def add(name, data=None, **fields):
		    info = tarfile.TarInfo(name)
		    for key, value in fields.items():
		        setattr(info, key, value)
		    info.size = len(data or b"")
		    out.addfile(info, io.BytesIO(data or b""))
		outside = sys.argv[1] + "/outside"
		add("Dockerfile", b"FROM bb\nCOPY . /c\nRUN cat /c/real; ls -l /c\n")
		add("real", b"inside\n")
		add("link", type=tarfile.SYMTYPE, linkname=outside)
		add("link/written", b"x")
		add("up", type=tarfile.SYMTYPE, linkname="../../../../../../../../../.." + outside)
		add("up/written", b"x")
		add("hard", type=tarfile.LNKTYPE, linkname="link/secret")
		out.close()
	PY
	mkdir -p "$DIR/outside" && echo of-the-host >"$DIR/outside/secret"
	post nocache=1 <"$DIR/evil.tar"
	[ "$(ls "$DIR/outside")" = secret ]
	[[ $output != *of-the-host* ]] || fail "$output"
}

@test "archives that unpack to more than the disk holds are refused, and their space is free again" {
	rm -rf "$DIR/context" && mkdir "$DIR/context"
	python3 - >"$DIR/context/bomb.tar.gz" <<-'PY'
		import gzip, sys, tarfile
		class Zeros:
		    def read(self, n):
		        return bytes(n)
		with gzip.GzipFile(fileobj=sys.stdout.buffer, mode="wb", compresslevel=1) as packed:
		    out = tarfile.open(fileobj=packed, mode="w|")
		    info = tarfile.TarInfo("zeros")
		    info.size = 400 << 20
		    out.addfile(info, Zeros())
		    out.close()
	PY
	printf 'FROM bb\nADD bomb.tar.gz /b/\n' >"$DIR/context/Dockerfile"
	post nocache=1 < <(tar -C "$DIR/context" -c .)
	[[ $output == *"o space left"* ]] || fail "$output"
	post nocache=1 <"$DIR/context/bomb.tar.gz" # the context itself
	[ "$status" -ne 200 ] || fail "$status $output"
	[[ $output == *"o space left"* ]] || fail "$output"
	eventually 60 settled
	[ $(($(used) - $(cat "$DIR/used"))) -lt 20000 ]
}

@test "a step that fills the disk fails in words, and the next one builds" {
	dockerfile 'FROM bb\nRUN dd if=/dev/zero of=/big bs=1M count=1000\n'
	[[ $output == *"o space left"* ]] || fail "$output"
	eventually 60 settled
	dockerfile 'FROM bb\nRUN echo small > /small\n'
	[[ $output == *"Successfully built"* ]] || fail "$output"
}

@test "flags that would open the step are refused with their line" {
	dockerfile 'FROM bb\n\nRUN --security=insecure true\n'
	[[ $output == *"Dockerfile:3: "*"--security=insecure is not supported"* ]] || fail "$output"
	dockerfile 'FROM bb\n\nRUN --device=x true\n'
	[[ $output == *"Dockerfile:3: "*device* ]] || fail "$output"
}
