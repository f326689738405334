#!/usr/bin/env bats
# Volumes with a filesystem of their own: mounted while somebody uses them, gone with the last one, whatever dies.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
	daemon_setup
	busybox_image
}

teardown_file() {
	daemon_teardown
}

teardown() {
	local ids
	ids=$("$WHERRY" ps -aq)
	[ -z "$ids" ] || "$WHERRY" rm -f -v $ids >/dev/null
	ids=$("$WHERRY" volume ls -q)
	[ -z "$ids" ] || "$WHERRY" volume rm -f $ids >/dev/null
}

w() {
	"$WHERRY" "$@"
}

mounted() {
	grep -q " $DIR/data/volumes/$1/_data " /proc/mounts
}

unmounted() {
	! mounted "$1"
}

shim_of() {
	pgrep -f -- "--id=$(w inspect -f '{{.Id}}' "$1") .*--layers="
}

@test "a tmpfs volume is one for all its containers, and goes with the last" {
	w volume create --opt type=tmpfs --opt device=tmpfs --opt o=size=1m,mode=0755 shared >/dev/null
	unmounted shared
	w run -d --name one -v shared:/d bb sh -c 'echo hi >/d/file; sleep 1000' >/dev/null
	eventually 10 w exec one test -e /d/file
	w run -d --name two -v shared:/d:ro bb sleep 1000 >/dev/null
	[ "$(w exec two cat /d/file)" = hi ]
	[ "$(w exec two df -k /d | awk 'END {print $2}')" = 1024 ]
	w run -d --name other bb sleep 1000 >/dev/null
	! grep -q volumes/shared "/proc/$(shim_of other)/mounts"
	w rm -f one >/dev/null
	mounted shared
	run w volume rm shared
	[[ "$output" == *"remove shared: volume is in use - ["* ]]
	w kill two >/dev/null
	eventually 10 unmounted shared
	w start two >/dev/null
	mounted shared
	run w exec two cat /d/file # another tmpfs
	[ "$status" != 0 ]
}

@test "many that start at once mount it once" {
	w volume create --opt type=tmpfs --opt device=tmpfs many >/dev/null
	local i pids=()
	for i in 1 2 3 4 5; do
		w run -d --name "many$i" -v many:/d bb sleep 1000 >/dev/null &
		pids+=($!)
	done
	wait "${pids[@]}"
	[ "$(grep -c " $DIR/data/volumes/many/_data " /proc/mounts)" = 1 ]
	w rm -f many1 many2 many3 many4 many5 >/dev/null
	eventually 10 unmounted many
}

@test "a killed daemon leaves no mount that nobody uses, and keeps the others" {
	w volume create --opt type=tmpfs --opt device=tmpfs stays >/dev/null
	w volume create --opt type=tmpfs --opt device=tmpfs goes >/dev/null
	w run -d --name stayer -v stays:/d bb sleep 1000 >/dev/null
	w run -d --name goer -v goes:/d bb sleep 1000 >/dev/null
	local shim
	shim=$(shim_of goer)
	daemon_signal KILL
	kill -KILL "$shim"
	mounted goes
	daemon_start
	eventually 10 unmounted goes
	mounted stays
	w rm -f stayer >/dev/null
	eventually 10 unmounted stays
}

@test "a bind volume shows the directory, read-only when its options say so" {
	mkdir -p "$DIR/host"
	echo there >"$DIR/host/file"
	w volume create --opt type=none --opt o=bind,ro --opt device="$DIR/host" bound >/dev/null
	run w run --rm -v bound:/d bb sh -c 'cat /d/file; touch /d/new'
	[[ "$output" == *there*"Read-only file system"* ]]
	[ ! -e "$DIR/host/new" ]
	eventually 10 unmounted bound
	w volume rm bound >/dev/null
	[ -e "$DIR/host/file" ]
}

@test "what cannot be mounted fails the start in Docker's words and leaves nothing" {
	w volume create --opt type=ext4 --opt device=/dev/nosuch bad >/dev/null
	run w run --name failed -v bad:/d bb true
	[ "$status" = 127 ] # as the docker command: it looks for these words
	[[ "$output" == *"error while mounting volume '$DIR/data/volumes/bad/_data': failed to mount local volume: mount /dev/nosuch:$DIR/data/volumes/bad/_data: no such file or directory"* ]]
	[ "$(w inspect -f '{{.State.Status}}' failed)" = created ]
	unmounted bad
	w volume create --opt type=nosuchfs --opt device=x --opt o=password=hidden secret >/dev/null
	run w run --rm -v secret:/d bb true
	[[ "$output" == *"data: password=********: no such device"* ]]
}

@test "mounts are events" {
	local since
	since=$(date +%s)
	w run --name events -v seen:/d:ro bb true
	local id
	id=$(w inspect -f '{{.Id}}' events)
	api GET "/events?since=$since&until=$(($(date +%s) + 1))&filters=%7B%22type%22:%7B%22volume%22:true%7D%7D" >"$DIR/events"
	grep -q '"Action":"mount","Actor":{"ID":"seen","Attributes":{"container":"'"$id"'","destination":"/d","driver":"local","propagation":"","read/write":"false"}}' "$DIR/events"
	grep -q '"Action":"unmount","Actor":{"ID":"seen","Attributes":{"container":"'"$id"'","driver":"local"}}' "$DIR/events"
}

@test "a subpath is a directory of its volume, and begins with what the image has" {
	w run --rm -v parts:/v bb sh -c 'mkdir -p /v/empty /v/full /v/links; echo mine >/v/full/f; ln -s / /v/links/root; ln -s ../full /v/links/full'
	sub() { # SUBPATH COMMAND...
		local path=$1
		shift
		w run --rm --mount "type=volume,source=parts,target=/var/lib/seeded,volume-subpath=$path" bb "$@"
	}
	[ "$(sub empty cat /var/lib/seeded/file)" = from-image ]
	[ "$(sub full ls /var/lib/seeded)" = f ]
	[ "$(sub links/full cat /var/lib/seeded/f)" = mine ]
	run sub links/root true
	[ "$status" -ne 0 ]
	[[ "$output" == *"path concatenation escapes the base directory"* ]] || fail "$output"
	w volume rm parts
}

@test "inspect does not count tmpfs of --tmpfs among the mounts" {
	w create --name tt --tmpfs /a -v /a --mount type=tmpfs,target=/b bb true
	[ "$(w inspect -f '{{range .Mounts}}{{.Type}} {{.Destination}};{{end}}' tt)" = "tmpfs /b;" ]
	w rm tt
}

@test "an image's files are mounted, read-only, for as long as the container is there" {
	mkdir -p "$DIR/img/one/deep" "$DIR/img/two"
	echo first >"$DIR/img/one/f"
	echo below >"$DIR/img/one/deep/g"
	echo second >"$DIR/img/two/f"
	printf 'FROM scratch\nCOPY one /d\n' >"$DIR/img/Dockerfile"
	w build -q -t files:one "$DIR/img"
	printf 'FROM files:one\nCOPY two /d\n' >"$DIR/img/Dockerfile"
	w build -q -t files:two "$DIR/img"
	w run -d --name shows --mount type=image,source=files:two,target=/both --mount type=image,source=files:one,target=/one \
		--mount type=image,source=files:two,target=/part,image-subpath=d/deep bb sleep 1000
	[ "$(w exec shows sh -c 'cat /both/d/f /both/d/deep/g /one/d/f /part/g; ls /part')" = "$(printf 'second\nbelow\nfirst\nbelow\ng')" ]
	run w exec shows touch /both/d/new
	[[ "$status $output" == 1*'Read-only file system'* ]]
	[ "$(w inspect -f '{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}};{{end}}' shows)" = "image files:two /both false;image files:one /one false;image files:two /part false;" ]

	# the layers stay, through a restart of the daemon and of the container, when the image is gone
	w rmi files:two files:one
	w builder prune -af
	w image prune -af
	daemon_signal KILL
	daemon_start
	w restart -t 0 shows
	[ "$(w exec shows cat /both/d/f /part/g)" = "$(printf 'second\nbelow')" ]
	w cp shows:/both/d/f "$DIR/copied"
	[ "$(cat "$DIR/copied")" = second ]
	w run --rm --volumes-from shows bb cat /one/d/f

	run w create --mount type=image,source=files:nope,target=/x bb true
	[[ "$output" == *'invalid mount config for type "image": No such image: files:nope'* ]] || fail "$output"
	run w create --mount type=image,source=bb,target=/x,image-subpath=../x bb true
	[[ "$output" == *'subpath must be a relative path within the image'* ]] || fail "$output"
	run ! w run --rm --mount type=image,source=bb,target=/x,image-subpath=nowhere bb true
	[[ "$output" == *'no such file or directory'* ]] || fail "$output"
}
