#!/bin/bash
# image.sh BUILD_DIR [CASE...] - images from archives and registries, through image_driver and the real wherry-worker.
#
# Root; makes its own mount and network namespace and works below one temporary directory. Uses docker-registry, skopeo, umoci,
# python3, zstd, curl. Prints "ok CASE" or "FAILED CASE"; the status says whether all was well.
set -u
here=$(cd "$(dirname "$0")" && pwd)
if [ "${IMAGE_SH_INSIDE:-}" != 1 ]; then
	build=$(cd "${1:?usage: image.sh BUILD_DIR [CASE...]}" && pwd) || exit 2
	shift
	for tool in docker-registry skopeo umoci python3 zstd xz bzip2 curl openssl; do
		command -v "$tool" >/dev/null || { echo "image.sh: skipped, $tool is missing"; exit 77; }
	done
	top=$(mktemp -d /tmp/wherry-image.XXXXXX)
	[ -n "${IMAGE_SH_KEEP:-}" ] || trap 'rm -rf "$top"' EXIT
	IMAGE_SH_INSIDE=1 unshare --mount --net --pid --fork --kill-child --mount-proc "$here/image.sh" "$build" "$top" "$@"
	exit $?
fi
build=$1 top=$2
shift 2

worker=$build/src/worker/wherry-worker
driver=$build/tests/unit/image/image-driver
make() { python3 "$here/image_archives.py" "$@"; }
data=$top/data
failures=0 case_failed=0

ip link set lo up
cd "$top" || exit 2

# --- words for the cases ---

run() { "$driver" "$worker" "$data" "$@" >"$top/out" 2>&1; }
load() { cat "$1" | run load; }
wrong() { echo "  $*"; sed 's/^/    | /' "$top/out" | tail -5; case_failed=1; }
succeeds() { "$@" || wrong "should have succeeded: $*"; }
fails_with() { # TEXT COMMAND...
	local text=$1
	shift
	"$@" && wrong "should have failed: $*"
	grep -qF -- "$text" "$top/out" || wrong "should have said '$text': $*"
}
says() { grep -qF -- "$1" "$top/out" || wrong "should have said '$1'"; }
layer_dir() { echo "$data/layers/$(sha256sum <"$1" | head -c 24)"; } # of a plain layer tar
within() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}
# Nothing half-made is left. The driver ends when its workers have.
is_clean() {
	[ -z "$(ls -A "$data/layers/tmp")" ] || wrong "left in tmp: $(ls -A "$data/layers/tmp")"
	run ls
	[ "${1:-}" != empty ] || [ "$(ls "$data/layers" | grep -cv -e tmp -e empty -e partial)" = 0 ] || wrong "layers are left"
}
fresh() { rm -rf "$data"; }
same_tree() { # ACTUAL EXPECTED [--ns]
	make list ${3:-} "$1" >"$top/actual" && make list ${3:-} "$2" >"$top/expected" && [ -s "$top/expected" ] || wrong "cannot list"
	diff "$top/expected" "$top/actual" >"$top/out" || wrong "$1 differs from $2: $(wc -l <"$top/out") lines"
}

# A root file system with all that a layer can hold, from pieces of this machine.
make_rootfs() {
	local r=$top/rootfs
	mkdir -p "$r"/{bin,dev,etc,usr/share,var/empty,tmp,opt/gone,opt/kept}
	find /usr/bin -mindepth 1 -maxdepth 1 ! -type d -name '[a-f]*' -size -2000k -exec cp -a -t "$r/bin" {} +
	head -c 8M /dev/urandom >"$r/bin/noise" # no machine's programs are all of it, however small they compress
	cp -a /etc/apt /etc/ssl /etc/alternatives "$r/etc/" 2>/dev/null
	cp -a /usr/share/zoneinfo "$r/usr/share/" 2>/dev/null || cp -a /usr/share/doc "$r/usr/share/"
	ln "$r/bin/cat" "$r/bin/hard"
	ln -s ../bin/cat "$r/etc/relative"
	ln -s /etc/passwd "$r/etc/absolute"
	ln -s nowhere "$r/etc/dangling"
	mkfifo "$r/etc/fifo"
	mknod "$r/dev/null" c 1 3
	cp -a "$r/bin/cat" "$r/bin/setuid" && chmod 6755 "$r/bin/setuid"
	chmod 1777 "$r/tmp"
	chmod 0 "$r/var/empty"
	chown -R 1234:5678 "$r/opt/kept"
	mkdir -p "$r/opt/kept/$(printf 'deep/%.0s' $(seq 60))" && echo x >"$r/opt/kept/$(printf 'deep/%.0s' $(seq 60))/file"
	ln -s "$(printf 'target/%.0s' $(seq 40))" "$r/opt/kept/far"
	echo x >"$r/opt/kept/large-ids" && chown 3000000000:4000000000 "$r/opt/kept/large-ids"
	mknod "$r/dev/large" b 259 70000
	truncate -s 3M "$r/opt/holes" && echo middle >>"$r/opt/holes" && truncate -s 8M "$r/opt/holes"
	touch -d '2001-02-03 04:05:06.123456789' "$r/opt/kept/large-ids" "$r/opt/holes"
	echo gone >"$r/opt/gone/x"
	echo "ünïcode" >"$r/opt/kept/nämé ☃"
	printf 'x' >"$r/opt/kept/$(printf 'n%.0s' $(seq 200))"
	truncate -s 5M "$r/opt/sparse" && echo end >>"$r/opt/sparse"
	setcap cap_net_raw+ep "$r/bin/dd" 2>/dev/null
	setfattr -n user.note -v hello "$r/opt/kept" 2>/dev/null
	touch -h -d '2001-02-03 04:05:06' "$r/opt/kept" "$r/etc/relative" "$r/opt/gone/x"
}

# --- cases: archives ---

case_unpacked_tree_is_what_tar_makes() {
	tar -C rootfs --xattrs --xattrs-include='*' -cf base.tar .
	mkdir -p plain && tar -C plain --xattrs --xattrs-include='*' --same-owner -xpf base.tar
	make save --tag base:1 save.tar base.tar >/dev/null
	succeeds load save.tar
	same_tree "$(layer_dir base.tar)" plain
	[ "$(stat -c %a%u "$(layer_dir base.tar)")" = "$(stat -c %a%u rootfs)" ] || wrong "the root's owner or mode"
	is_clean
	fresh
	for way in gzip zstd; do
		make save --$way --tag base:1 save.tar base.tar >/dev/null
		succeeds load save.tar
		same_tree "$(layer_dir base.tar)" plain
		fresh
	done
}

# Bytes of a tree that are in the page cache.
cached_bytes() { find "$1" -type f -exec fincore -b -n -r -o RES {} + | awk '{s += $1} END {print s + 0}'; }

case_what_is_written_leaves_the_page_cache() {
	case $(stat -f -c %T "$top") in
	tmpfs | ramfs) return ;; # where pages are all there is
	esac
	rm -rf many && mkdir many && head -c 40M /dev/urandom >many/large
	for n in $(seq 200); do head -c 50000 /dev/urandom >"many/$n"; done
	tar -C many -cf many.tar . && make save --tag many:1 t.tar many.tar >/dev/null
	succeeds load t.tar
	[ "$(cached_bytes many)" -gt 40000000 ] || wrong "the measure shows nothing"
	[ "$(cached_bytes "$(layer_dir many.tar)")" -lt 5000000 ] || wrong "it stays in the cache: $(cached_bytes "$(layer_dir many.tar)")"
}

# Every form in which tar writes sparse files, long names, large numbers and nanoseconds.
case_every_tar_format_is_unpacked_as_by_tar() {
	rm -rf some && mkdir some && cp -a rootfs/opt rootfs/etc/relative rootfs/dev some
	for format in gnu oldgnu pax; do
		for sparse in "" -S "-S --sparse-version=0.0" "-S --sparse-version=0.1"; do
			[ $format = pax ] || [ "${sparse#*version}" = "$sparse" ] || continue
			tar -C some --format=$format $sparse --xattrs --xattrs-include='*' -cf some.tar .
			rm -rf plain && mkdir plain && tar -C plain --xattrs --xattrs-include='*' --same-owner -xpf some.tar
			make save --tag some:1 save.tar some.tar >/dev/null
			succeeds load save.tar
			same_tree "$(layer_dir some.tar)" plain --ns
			[ $format != pax ] || same_tree "$(layer_dir some.tar)" some --ns
			[ "$(du -k "$(layer_dir some.tar)/opt/holes" | cut -f1)" -lt 3000 ] || wrong "holes are filled: $format $sparse"
			fresh
		done
	done
}

# Layers by umoci (whiteouts, opaque directories), read back through overlayfs and compared with umoci's own unpacking.
case_stacked_layers_are_what_umoci_unpacks() {
	umoci init --layout oci && umoci new --image oci:u && umoci unpack --image oci:u b0
	cp -a rootfs/. b0/rootfs/
	umoci repack --image oci:u b0 >/dev/null && rm -rf b0 && umoci unpack --image oci:u b1
	rm -rf b1/rootfs/opt/gone b1/rootfs/bin/hard b1/rootfs/etc/ssl
	mkdir b1/rootfs/etc/ssl && echo new >b1/rootfs/etc/ssl/new
	rm -rf b1/rootfs/etc/apt && echo file >b1/rootfs/etc/apt
	rm b1/rootfs/etc/relative && mkdir b1/rootfs/etc/relative && echo x >b1/rootfs/etc/relative/x
	chmod 700 b1/rootfs/opt/kept
	umoci repack --image oci:u b1 >/dev/null && rm -rf b1
	umoci unpack --image oci:u want
	mkdir -p lower
	for form in oci-archive docker-archive; do
		rm -f u.tar
		skopeo --insecure-policy copy -q oci:oci:u "$form:u.tar:u:1"
		succeeds load u.tar
		says "Loaded image"
		run lowerdir "$(run ls; cut -d' ' -f1 "$top/out" | head -1)"
		(cd "$data/layers" && mount -t overlay overlay -o "lowerdir=$(cat "$top/out"):empty" "$top/lower") || wrong "cannot mount"
		same_tree lower want/rootfs
		umount lower
		fresh
	done
	cp -al oci oci-copy
}

case_archives_in_every_order_and_form() {
	mkdir -p small && echo 1 >small/one && tar -C small -cf one.tar one
	echo 2 >small/two && tar -C small -cf two.tar two
	head -c 1024 /dev/zero >none.tar
	for order in last first links; do
		for way in "" --gzip --zstd; do
			id=$(make save --order $order $way --tag t:1 --tag localhost:5000/a/b:2 t.tar one.tar two.tar none.tar one.tar)
			succeeds load t.tar
			says "Loaded image: t:1"
			says "ok $id"
			run ls
			says "$id 6 4 t:1 localhost:5000/a/b:2"
			is_clean
			fresh
		done
	done
	id=$(make layout --zstd --tag oci/t:1 t.tar one.tar two.tar)
	succeeds load t.tar
	says "Loaded image: oci/t:1"
	id=$(make layout t.tar two.tar)
	succeeds load t.tar
	says "Loaded image ID: $id"
	for packer in "gzip -c" "zstd -q -c" "xz -c" "bzip2 -c"; do
		fresh
		$packer t.tar >t.packed
		succeeds load t.packed
		says "ok $id"
	done
	# a second time nothing is unpacked, and the tag moves
	id=$(make save --tag oci/t:1 t.tar two.tar)
	succeeds load t.tar
	succeeds load t.tar
	says "Loaded image: oci/t:1"
	grep -q "Loading layer" "$top/out" && wrong "a layer that is here was loaded again"
	is_clean
}

case_wrong_archives_are_refused() {
	make save --bad-diff-id --tag t:1 t.tar one.tar two.tar >/dev/null
	fails_with "invalid diffID for layer 1: expected" load t.tar
	is_clean empty
	make save --short t.tar one.tar two.tar >/dev/null
	fails_with "layers length mismatch" load t.tar
	make save --no-config t.tar one.tar >/dev/null
	fails_with "but does not hold it" load t.tar
	make layout --bad-blob t.tar one.tar >/dev/null
	fails_with "but does not hold it" load t.tar
	make save --tag 'Not Valid' t.tar one.tar >/dev/null
	fails_with "invalid reference format" load t.tar
	make save --tag untagged t.tar one.tar >/dev/null
	fails_with "invalid tag" load t.tar
	fails_with "neither manifest.json nor index.json" load one.tar
	echo "this is no archive" >text
	fails_with "error: " load text
	fails_with "neither manifest.json nor index.json" load /dev/null
	is_clean empty
	for way in gzip zstd; do
		make save --$way --tag t:1 t.tar base.tar >/dev/null
		make corrupt t.tar 200000
		fails_with "error: " load t.tar
		is_clean empty
	done
	# cut anywhere: an error, never an image with less in it
	make save --gzip --tag t:1 t.tar one.tar two.tar >/dev/null
	size=$(stat -c %s t.tar)
	for cut in 100 512 600 1100 1600 2500 3000 4200 5000; do
		[ "$cut" -lt "$size" ] && head -c "$cut" t.tar >cut.tar && fails_with "error: " load cut.tar
	done
	gzip -c t.tar | head -c 700 >cut.tar
	fails_with "unexpected EOF" load cut.tar
	is_clean empty
}

# Every way out of the root that archives have been caught at. Either refused, or harmless inside.
case_attacks_stay_inside() {
	outside=$top/outside
	mkdir -p "$outside" attacks && echo secret >"$outside/secret" && chmod 700 "$outside"
	make layers attacks "$outside"
	make list "$outside" >outside.before
	for layer in attacks/*.tar; do
		make save --tag "attack:1" t.tar "$layer" >/dev/null
		load t.tar
		[ $? -lt 2 ] || wrong "$layer: the driver crashed"
		tail -1 "$top/out" | grep -q -e '^ok ' -e '^error: ' || wrong "$layer: no answer"
		name=$(basename "$layer" .tar)
		tail -1 "$top/out" | sed "s/^/    $name: /; s/sha256.*//" >>"$top/answers"
		make list "$outside" | diff outside.before - >"$top/diff" || { cat "$top/diff"; wrong "$layer: reached $outside"; }
		[ "$(stat -c %a "$outside")" = 700 ] || wrong "$layer: changed $outside"
		[ ! -e "$top/escaped" ] && [ ! -e "$data/escaped" ] && [ ! -e "$data/layers/escaped" ] && [ ! -e /escaped ] ||
			wrong "$layer: escaped"
		find "$data/layers" -samefile "$outside/secret" | grep -q . && wrong "$layer: linked a secret"
		make list "$data/layers" | grep -q overlay.redirect && wrong "$layer: redirect"
		is_clean
		fresh
	done
	[ -z "${VERBOSE:-}" ] || cat "$top/answers"
	for name in dotdot dotdot-deep whiteout-dotdot whiteout-dot whiteout-empty hardlink-outside hardlink-dotdot \
		hardlink-via-symlink hardlink-dir hardlink-missing dev-symlink root-symlink root-file fake-whiteout \
		owner-unchanged owner-group-unchanged owner-wraps; do
		grep -q "^    $name: error" "$top/answers" || { cat "$top/answers"; wrong "$name was not refused"; }
	done
}

case_import_makes_an_image() {
	tar -C small -cf i.tar .
	gzip -c i.tar | run import im:1 'CMD ["/bin/sh", "-c", "x"]' 'ENV A="b c" D=e' 'EXPOSE 80 53/udp' 'LABEL l=m' 'USER 1:2' \
		'VOLUME /v' 'WORKDIR /w' || wrong "import"
	run ls
	says " 1 im:1"
	python3 - "$data/wherry.db" <<-'END' || wrong "the configuration"
		import json, sqlite3, sys
		c = json.loads(json.loads(sqlite3.connect(sys.argv[1]).execute("select doc from images").fetchone()[0])["config"])
		want = {"Cmd": ["/bin/sh", "-c", "x"], "Env": ["A=b c", "D=e"], "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
		        "Labels": {"l": "m"}, "User": "1:2", "Volumes": {"/v": {}}, "WorkingDir": "/w"}
		assert c["config"] == want, c["config"]
		assert c["os"] == "linux" and len(c["rootfs"]["diff_ids"]) == 1 and c["history"][0]["comment"] == "imported"
	END
	cat i.tar | fails_with "RUN is not a valid change command" run import im:2 'RUN x'
	cat i.tar | fails_with "invalid reference format" run import 'im:2:3'
	head -c 700 i.tar | fails_with "error: " run import im:3
	is_clean
	same_tree "$(layer_dir i.tar)" small
}

case_removal_takes_the_layers_along() {
	make save --tag a:1 t.tar one.tar two.tar >/dev/null && load t.tar
	make save --tag b:1 t.tar one.tar >/dev/null && load t.tar
	succeeds run rm a:1
	says '"Deleted"'
	[ -d "$(layer_dir one.tar)" ] || wrong "a layer in use went"
	[ -d "$(layer_dir two.tar)" ] && wrong "a layer of nobody stayed"
	fails_with "No such image: a:1" run rm a:1
	succeeds run rm b:1
	is_clean empty
}

# --- cases: disk and death ---

case_full_disk_fails_cleanly_and_can_be_repeated() {
	mkdir -p "$data" && mount -t tmpfs -o size=48m tmpfs "$data"
	head -c 60M /dev/urandom >small/big && tar -C small -cf big.tar big && rm small/big
	make save --tag big:1 t.tar one.tar big.tar >/dev/null
	for again in 1 2 3; do
		fails_with "no space left on device" load t.tar
		is_clean empty
		[ "$(df --output=used -k "$data" | tail -1)" -lt 4096 ] || wrong "space was not given back: $(df -k "$data" | tail -1)"
	done
	mount -o remount,size=200m "$data"
	succeeds load t.tar
	umount "$data"
	# a bomb: more than there is room for, although every page of it would be a hole
	mount -t tmpfs -o size=200m tmpfs "$data"
	mkdir -p small && truncate -s 300M small/zeros && tar -C small -cf zeros.tar zeros && rm small/zeros
	for way in --gzip --zstd; do
		make save $way --tag bomb:1 t.tar zeros.tar >/dev/null
		fails_with "no space left on device" load t.tar
		is_clean empty
	done
	umount "$data"
	# no inodes left
	mount -t tmpfs -o size=200m,nr_inodes=200 tmpfs "$data"
	make save --tag many:1 t.tar base.tar >/dev/null
	fails_with "no space left on device" load t.tar
	is_clean empty
	umount "$data"
}

has_begun() { [ -n "$(ls -A "$data/layers/tmp")" ]; }
has_ended() { ! kill -0 "$1" 2>/dev/null; }
child_of() { ps -o pid= --ppid "$1" | tr -d ' '; }

case_killed_worker_leaves_nothing() {
	make save --tag base:1 t.tar base.tar two.tar >/dev/null
	mkfifo slow
	for victim in worker driver; do
		"$driver" "$worker" "$data" load <slow >"$top/out" 2>&1 &
		pid=$!
		exec 9>slow
		head -c 3000000 t.tar >&9
		within 30 has_begun || wrong "the worker has not begun"
		if [ $victim = worker ]; then
			kill -9 "$(child_of $pid)"
			wait $pid
			says "error: "
		else
			worker_pid=$(child_of $pid)
			kill -9 $pid
			wait $pid 2>/dev/null
			within 30 has_ended "$worker_pid" || wrong "the worker outlived its daemon"
		fi
		exec 9>&-
		run ls # the next start
		is_clean empty
	done
	rm slow
	succeeds load t.tar
	# a directory that was renamed into place but never recorded; a row whose directory is gone
	cp -a "$(layer_dir two.tar)" "$data/layers/0123456789abcdef01234567"
	run ls
	run ls
	[ -e "$data/layers/0123456789abcdef01234567" ] && wrong "an unrecorded layer stayed"
	rm -r "$(layer_dir two.tar)"
	run ls
	grep -q "layer-lost" "$top/out" || wrong "a lost layer was not told"
	succeeds load t.tar # and it is there again
	[ -d "$(layer_dir two.tar)" ] || wrong "the load did not bring the lost layer back"
	succeeds load t.tar
	run ls
	says "base:1"
	fresh
}

# --- cases: registry ---

registry_pids=()
start_registry() { # NAME PORT [EXTRA YAML]
	mkdir -p "$top/$1"
	cat >"$1.yml" <<-END
		version: 0.1
		log: {level: error, accesslog: {disabled: true}}
		storage: {filesystem: {rootdirectory: $top/$1}, delete: {enabled: true}}
		http: {addr: "127.0.0.1:$2"}
		${3:-}
	END
	docker-registry serve "$1.yml" >"$1.log" 2>&1 &
	registry_pids+=($!)
	within 60 curl -s "http://127.0.0.1:$2/v2/" && return
	echo "image.sh: the registry does not start" && cat "$1.log"
}
stop_registries() {
	[ ${#registry_pids[@]} = 0 ] || kill "${registry_pids[@]}" 2>/dev/null
	wait "${registry_pids[@]}" 2>/dev/null
	registry_pids=()
}
push() { skopeo --insecure-policy copy -q --dest-tls-verify=false "$@"; }
blob_path() { echo "$top/$1/docker/registry/v2/blobs/sha256/${2:7:2}/${2:7}/data"; } # REGISTRY DIGEST

case_pull_direct_and_by_digest() {
	start_registry hub 5000
	push oci:oci-copy:u docker://127.0.0.1:5000/library/u:1
	succeeds run pull 127.0.0.1:5000/library/u:1
	says '"status":"Pulling from library/u"'
	says '"status":"Pulling fs layer","progressDetail":{}'
	says '"status":"Download complete"'
	says '"status":"Extracting","progressDetail":{"current":'
	says '"status":"Pull complete"'
	says '"status":"Status: Downloaded newer image for 127.0.0.1:5000/library/u:1"'
	digest=$(grep -o 'Digest: sha256:[0-9a-f]*' "$top/out" | cut -c9-)
	[ "$digest" = "sha256:$(curl -s -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
		http://127.0.0.1:5000/v2/library/u/manifests/1 | sha256sum | cut -d' ' -f1)" ] || wrong "the digest $digest"
	succeeds run pull 127.0.0.1:5000/library/u:1
	says "Status: Image is up to date for 127.0.0.1:5000/library/u:1"
	says "Already exists"
	succeeds run pull "127.0.0.1:5000/library/u@$digest"
	run ls
	says " 127.0.0.1:5000/library/u:1 127.0.0.1:5000/library/u@$digest"
	is_clean
	run lowerdir 127.0.0.1:5000/library/u:1
	(cd "$data/layers" && mount -t overlay overlay -o "lowerdir=$(cat "$top/out"):empty" "$top/lower") || wrong "cannot mount"
	same_tree lower want/rootfs
	umount lower
	fails_with "manifest for 127.0.0.1:5000/library/u:2 not found: manifest unknown" run pull 127.0.0.1:5000/library/u:2
	fails_with "127.0.0.1:5000/nobody" run pull 127.0.0.1:5000/nobody:1
	fails_with "manifest unknown" run pull "127.0.0.1:5000/library/u@sha256:$(printf '0%.0s' $(seq 64))"
	fails_with "connect: connection refused" run pull 127.0.0.1:5999/x:1
	# docker's own media types
	push --format v2s2 oci:oci-copy:u docker://127.0.0.1:5000/v2s2:1
	succeeds run pull 127.0.0.1:5000/v2s2:1
	fresh
	succeeds run pull 127.0.0.1:5000/v2s2:1
	fresh
	stop_registries
}

case_pull_through_mirrors() {
	start_registry hub 5000
	start_registry broken 5001
	mirror='{"registry-mirrors": ["http://127.0.0.1:5000/"]}'
	succeeds run pull u:1 "$mirror"
	says '"status":"Status: Downloaded newer image for u:1"'
	run ls
	says " u:1 u@sha256:"
	fresh
	# the first mirror is down; the second has the manifest, but has lost its layers: the third gives all
	push oci:oci-copy:u docker://127.0.0.1:5001/library/u:1
	find broken -path '*/blobs/*' -name data -size +100k -delete
	stop_registries
	start_registry hub 5000
	start_registry broken 5001
	succeeds run pull u:1 '{"registry-mirrors": ["http://127.0.0.1:5998", "http://127.0.0.1:5001", "http://127.0.0.1:5000"]}'
	is_clean
	fresh
	# neither a mirror nor the hub (there is no network here)
	fails_with "no such host" run pull u:1 '{"registry-mirrors": ["http://127.0.0.1:5998"]}'
	fails_with "not found" run pull u:77 "$mirror"
	# other registries are not asked for at a mirror
	fails_with "dial tcp" run pull example.invalid/library/u:1 "$mirror"
	# what only looks like loopback is spoken to with TLS
	for name in localhost.example.invalid 127.0.0.1.example.invalid; do
		fails_with "Get \"https://$name/v2/\": dial tcp" run pull "$name/x:1"
	done
	# insecure-registries: plain http for a name that is not loopback
	ip addr add 192.0.2.1/32 dev lo
	stop_registries
	sed -i 's/127.0.0.1:5000/192.0.2.1:5000/' hub.yml 2>/dev/null
	docker-registry serve hub.yml >hub.log 2>&1 &
	registry_pids+=($!)
	within 60 curl -s http://192.0.2.1:5000/v2/ || wrong "the registry does not start"
	succeeds run pull 192.0.2.1:5000/library/u:1 '{"insecure-registries": ["192.0.2.1:5000"]}'
	fresh
	fails_with "error: " run pull 192.0.2.1:5000/library/u:1
	stop_registries
}

case_certificates() {
	ip addr add 192.0.2.2/32 dev lo 2>/dev/null
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=registry -addext subjectAltName=IP:192.0.2.2,IP:127.0.0.1 \
		-keyout key.pem -out cert.pem 2>/dev/null
	start_registry tls 5006
	push oci:oci-copy:u docker://127.0.0.1:5006/u:1
	stop_registries
	cat >tls.yml <<-END
		version: 0.1
		log: {level: error, accesslog: {disabled: true}}
		storage: {filesystem: {rootdirectory: $top/tls}}
		http: {addr: "0.0.0.0:5006", tls: {certificate: $top/cert.pem, key: $top/key.pem}}
	END
	docker-registry serve tls.yml >tls.log 2>&1 &
	registry_pids+=($!)
	within 60 curl -sk https://127.0.0.1:5006/v2/ || wrong "the registry does not start"
	fails_with 'Get "https://192.0.2.2:5006/v2/": ' run pull 192.0.2.2:5006/u:1
	succeeds run pull 192.0.2.2:5006/u:1 '{"insecure-registries": ["192.0.2.2:5006"]}'
	fresh
	succeeds run pull 192.0.2.2:5006/u:1 '{"insecure-registries": ["192.0.2.0/24"]}'
	fresh
	fails_with "error: " run pull 192.0.2.2:5006/u:1 '{"insecure-registries": ["192.0.3.0/24", "10.0.0.0/8", "x/y"]}'
	succeeds run pull 127.0.0.1:5006/u:1 # loopback may show any certificate
	fresh
	# a certificate authority of its own, in a copy of /etc that only we see
	mkdir -p etc && mount -t tmpfs tmpfs etc && mkdir etc/up etc/work &&
		mount -t overlay overlay -o "lowerdir=/etc,upperdir=$top/etc/up,workdir=$top/etc/work" /etc || wrong "cannot mount"
	mkdir -p small && echo 1 >small/one && tar -C small -cf one.tar one
	make save --tag 192.0.2.2:5006/up:1 --tag 192.0.2.2:5006/up:2 up.saved one.tar >/dev/null
	load up.saved
	fails_with 'Get "https://192.0.2.2:5006/v2/": ' run push 192.0.2.2:5006/up:1
	mkdir -p /etc/docker/certs.d/192.0.2.2:5006 && cp cert.pem /etc/docker/certs.d/192.0.2.2:5006/ca.crt
	succeeds run push 192.0.2.2:5006/up:1
	fresh
	succeeds run pull 192.0.2.2:5006/up:1
	fresh
	succeeds run pull 192.0.2.2:5006/u:1
	fresh
	# a name with an address in an insecure network
	cp /etc/hosts hosts && echo "192.0.2.2 registry.example.test" >>hosts && cat hosts >/etc/hosts
	fails_with "error: " run pull registry.example.test:5006/u:1
	succeeds run pull registry.example.test:5006/u:1 '{"insecure-registries": ["2001:db8::/32", "192.0.2.0/24"]}'
	fresh
	# the registry wants to know who we are
	stop_registries
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=client -keyout client.key -out client.cert 2>/dev/null
	sed -i "s|key: $top/key.pem|&, clientcas: [$top/client.cert]|" tls.yml
	docker-registry serve tls.yml >tls.log 2>&1 &
	registry_pids+=($!)
	within 60 curl -sk --cert client.cert --key client.key https://127.0.0.1:5006/v2/ || wrong "the registry does not start"
	fails_with 'Get "https://192.0.2.2:5006/v2/": ' run pull 192.0.2.2:5006/u:1
	cp client.cert /etc/docker/certs.d/192.0.2.2:5006/
	fails_with "a .cert needs its .key beside it" run pull 192.0.2.2:5006/u:1
	cp client.key /etc/docker/certs.d/192.0.2.2:5006/
	succeeds run pull 192.0.2.2:5006/u:1
	rm -r tls/docker/registry/v2/repositories/up
	load up.saved
	succeeds run push 192.0.2.2:5006/up:2
	fresh
	# of several pairs the one whose authority the registry names
	for other in a z; do
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=other $other" -keyout "/etc/docker/certs.d/192.0.2.2:5006/$other.key" \
			-out "/etc/docker/certs.d/192.0.2.2:5006/$other.cert" 2>/dev/null
	done
	succeeds run pull 192.0.2.2:5006/up:2
	fresh
	rm /etc/docker/certs.d/192.0.2.2:5006/client.*
	fails_with 'Get "https://192.0.2.2:5006/v2/": ' run pull 192.0.2.2:5006/up:2
	umount /etc etc
	fresh
	stop_registries
}

case_proxies_of_the_environment() {
	start_registry hub 5000
	start_proxy forward
	there='{"insecure-registries": ["registry.example.test:80"]}'
	fails_with "no such host" run pull registry.example.test:80/library/u:1 "$there"
	export HTTP_PROXY=http://127.0.0.1:5003
	succeeds run pull registry.example.test:80/library/u:1 "$there"
	grep -q '^for http://registry.example.test' proxy.log || wrong "the proxy was not asked"
	fresh
	NO_PROXY=example.test fails_with "no such host" run pull registry.example.test:80/library/u:1 "$there"
	unset HTTP_PROXY
	stop_registries
}

case_wrong_bytes_from_a_registry_are_refused() {
	start_registry bad 5002
	push oci:oci-copy:u docker://127.0.0.1:5002/u:1
	manifest=$(curl -s -H 'Accept: application/vnd.oci.image.manifest.v1+json' http://127.0.0.1:5002/v2/u/manifests/1)
	layer=$(python3 -c 'import json,sys; print(json.loads(sys.argv[1])["layers"][0]["digest"])' "$manifest")
	config=$(python3 -c 'import json,sys; print(json.loads(sys.argv[1])["config"]["digest"])' "$manifest")
	file=$(blob_path bad "$layer")
	cp "$file" whole
	make corrupt "$file" -5000
	fails_with "error: " run pull 127.0.0.1:5002/u:1
	is_clean empty
	# whole gzip, other content
	(zcat whole; true) | gzip -1 | head -c "$(stat -c %s whole)" >"$file"
	fails_with "error: " run pull 127.0.0.1:5002/u:1
	is_clean empty
	head -c 200000 whole >"$file"
	fails_with "error: " run pull 127.0.0.1:5002/u:1
	is_clean empty
	cp whole "$file" && echo more >>"$file"
	fails_with "error: " run pull 127.0.0.1:5002/u:1
	is_clean empty
	cp whole "$file"
	file=$(blob_path bad "$config")
	cp "$file" config && sed -i 's/linux/Linux/' "$file"
	fails_with "verification failed for digest" run pull 127.0.0.1:5002/u:1
	cp config "$file"
	is_clean empty
	succeeds run pull 127.0.0.1:5002/u:1
	stop_registries
	fresh
}

start_proxy() { # WAY [FILE]: on port 5003 before 5000
	python3 "$here/image_proxy.py" 5003 5000 "$@" >proxy.log 2>&1 &
	registry_pids+=($!)
	within 60 curl -s http://127.0.0.1:5003/v2/ || wrong "the proxy does not start"
}

case_broken_connections_are_resumed() {
	start_registry hub 5000
	start_proxy cut
	succeeds run pull 127.0.0.1:5003/library/u:1
	grep -q "cut" proxy.log || wrong "the proxy cut nothing"
	grep -q "range" proxy.log || wrong "nothing was resumed"
	is_clean
	fresh
	stop_registries
}

case_a_rude_registry_is_borne() {
	start_registry hub 5000
	start_proxy rude
	succeeds run pull 127.0.0.1:5003/library/u:1
	for what in cut busy "wrong part"; do
		grep -q "^$what" proxy.log || wrong "the proxy was not as rude as it should: $what"
	done
	is_clean
	stop_registries
}

# Until the proxy holds a blob back and what it sent is on disk: prints how many bytes of it are kept.
kept_bytes() {
	for _ in $(seq 1200); do
		find "$data/layers/partial" -type f -size +1000k -printf '%s\n' 2>/dev/null | grep . && return
		sleep 0.05
	done
}

case_interrupted_pulls_go_on() {
	start_registry hub 5000
	mkdir -p big && head -c 6M /dev/urandom >big/noise && tar -C big -cf big.tar noise
	make layout --gzip --tag big t.tar one.tar big.tar >/dev/null
	rm -rf big-oci && mkdir big-oci && tar -C big-oci -xf t.tar
	push oci:big-oci:big docker://127.0.0.1:5000/big:1
	for victim in worker driver; do
		start_proxy hold
		"$driver" "$worker" "$data" pull 127.0.0.1:5003/big:1 >"$top/out" 2>&1 &
		pid=$!
		kept=$(kept_bytes)
		[ "${kept:-0}" -gt 1000000 ] || wrong "nothing is kept of an unfinished layer"
		[ $victim = driver ] || kill -9 "$(child_of $pid)"
		[ $victim = worker ] || kill -9 $pid
		wait $pid 2>/dev/null
		kept=$(kept_bytes)
		: >proxy.log
		succeeds run pull 127.0.0.1:5003/big:1
		grep -q "^range bytes=$kept-$" proxy.log || wrong "the pull did not go on at $kept: $(cat proxy.log)"
		is_clean
		[ -z "$(ls -A "$data/layers/partial")" ] || wrong "kept after its layer was complete"
		same_tree "$(layer_dir big.tar)" big
		stop_registries
		start_registry hub 5000
		fresh
	done
	# what a power cut may leave: zeros; more than there is; and all of it
	blob=$(python3 -c 'import glob, os; print(max(glob.glob("big-oci/blobs/sha256/*"), key=os.path.getsize))')
	kept=$data/layers/partial/$(basename "$blob")
	for content in zeros longer whole; do
		mkdir -p "$data/layers/partial"
		case $content in
		zeros) truncate -s 3M "$kept" ;;
		longer) cp "$blob" "$kept" && echo more >>"$kept" ;;
		whole) cp "$blob" "$kept" ;;
		esac
		start_proxy cut # only to see what is asked for
		succeeds run pull 127.0.0.1:5003/big:1
		[ $content != whole ] || ! grep -q "$(basename "$blob")" proxy.log || wrong "what is whole was asked for"
		[ -z "$(ls -A "$data/layers/partial")" ] || wrong "$content was kept"
		same_tree "$(layer_dir big.tar)" big
		stop_registries
		start_registry hub 5000
		fresh
	done
	# old ones go with the next pull
	mkdir -p "$data/layers/partial"
	touch -d '8 days ago' "$data/layers/partial/$(printf 'a%.0s' $(seq 64))"
	touch "$data/layers/partial/$(printf 'b%.0s' $(seq 64))"
	succeeds run pull 127.0.0.1:5000/library/u:1
	[ "$(ls "$data/layers/partial")" = "$(printf 'b%.0s' $(seq 64))" ] || wrong "old beginnings stay, or new ones go"
	stop_registries
	fresh
}

# A layer that an interrupted pull has finished is not fetched again; one of an image that is wrong is not kept.
case_finished_layers_of_an_interrupted_pull_stay() {
	start_registry hub 5000
	mkdir -p big && head -c 6M /dev/urandom >big/noise && tar -C big -cf big.tar noise
	make layout --gzip --tag big t.tar one.tar big.tar >/dev/null
	rm -rf big-oci && mkdir big-oci && tar -C big-oci -xf t.tar
	push oci:big-oci:big docker://127.0.0.1:5000/big:1
	start_proxy gone wait
	# nothing outside says when the small one is finished: the refusal comes later and later
	for seconds in 0.5 1 2 4 8 16; do
		echo "$seconds" >wait
		fails_with "error: " run pull 127.0.0.1:5003/big:1
		[ ! -d "$(layer_dir one.tar)" ] || break
	done
	[ -d "$(layer_dir one.tar)" ] || wrong "the finished layer went"
	run ls # the next start
	[ -d "$(layer_dir one.tar)" ] || wrong "the finished layer went at the next start"
	succeeds run pull 127.0.0.1:5000/big:1
	says "Already exists"
	succeeds run rm 127.0.0.1:5000/big:1
	is_clean empty
	stop_registries
}

case_a_pull_that_cannot_fit_says_so_first() {
	start_registry hub 5000
	start_proxy cut
	mkdir -p "$data" && mount -t tmpfs -o size=8m tmpfs "$data"
	fails_with "no space left on device" run pull 127.0.0.1:5003/library/u:1
	says "compressed, and "
	! grep -q "cut" proxy.log || wrong "it began to fetch"
	is_clean empty
	# it fits compressed, and says at its end that it does not unpacked
	mkdir -p small && seq 5000000 >small/numbers && tar -C small -cf numbers.tar numbers && rm small/numbers
	make save --gzip --tag numbers:1 numbers.saved numbers.tar >/dev/null
	push docker-archive:numbers.saved:numbers:1 docker://127.0.0.1:5000/numbers:1
	mount -o remount,size=40m "$data"
	: >proxy.log
	fails_with "no space left on device" run pull 127.0.0.1:5003/numbers:1
	says " unpacked, and "
	! grep -q "cut" proxy.log || wrong "it began to fetch"
	is_clean empty
	umount "$data"
	stop_registries
}

case_login() {
	htpasswd=$(python3 -c 'import crypt; print("u:" + crypt.crypt("p", crypt.mksalt(crypt.METHOD_BLOWFISH)))' 2>/dev/null)
	echo "$htpasswd" >htpasswd
	start_registry private 5004 "auth: {htpasswd: {realm: r, path: $top/htpasswd}}"
	push --dest-creds u:p oci:oci-copy:u docker://127.0.0.1:5004/u:1
	fails_with "pull access denied" run pull 127.0.0.1:5004/u:1
	fails_with "pull access denied" run pull 127.0.0.1:5004/u:1 '{}' '{"username": "u", "password": "wrong"}'
	succeeds run pull 127.0.0.1:5004/u:1 '{}' '{"username": "u", "password": "p"}'
	fresh
	stop_registries
}

case_tokens() {
	start_registry hub 5000
	start_proxy anonymous
	succeeds run pull 127.0.0.1:5003/library/u:1
	grep -q 'token /token?service=reg&scope=repository%3Alibrary%2Fu%3Apull' proxy.log || wrong "the token's scope"
	grep -q redirected proxy.log || wrong "nothing was redirected"
	grep leaked proxy.log && wrong "a token went to another host"
	fresh
	stop_registries
	start_registry hub 5000
	start_proxy token
	fails_with "pull access denied for 127.0.0.1:5003/library/u, repository does not exist or may require" \
		run pull 127.0.0.1:5003/library/u:1
	fails_with "pull access denied" run pull 127.0.0.1:5003/library/u:1 '{}' '{"username": "u", "password": "x"}'
	succeeds run pull 127.0.0.1:5003/library/u:1 '{}' '{"username": "u", "password": "p"}'
	grep leaked proxy.log && wrong "a token went to another host"
	grep -q "the.token" "$top/out" && wrong "the token was shown"
	fresh
	stop_registries
	start_registry hub 5000
	start_proxy expire
	succeeds run pull 127.0.0.1:5003/library/u:1
	[ "$(grep -c '^token' proxy.log)" -gt 1 ] || wrong "no token expired"
	stop_registries
	fresh
}

# --- all of them ---

make_rootfs
cases=("$@")
# the later ones use files of the earlier ones
[ ${#cases[@]} -gt 0 ] || mapfile -t cases < <(sed -n 's/^\(case_[a-z0-9_]*\)() {$/\1/p' "$here/image.sh")
for this_case in "${cases[@]}"; do
	declare -F "$this_case" >/dev/null || { echo "image.sh: there is no case $this_case" >&2; exit 2; }
	case_failed=0
	fresh
	"$this_case"
	if [ $case_failed = 0 ]; then
		echo "ok ${this_case#case_}"
	else
		echo "FAILED ${this_case#case_}"
		failures=$((failures + 1))
	fi
done
stop_registries
exit $((failures > 0))
