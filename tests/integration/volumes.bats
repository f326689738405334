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
	[ ! -s "$DIR/fuse.pid" ] || end_server "$DIR/served" # or what waits for it would hold us up
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

@test "a nameless volume with a filesystem of its own goes with its container" {
	w run --rm --mount type=volume,target=/d,volume-opt=type=tmpfs,volume-opt=device=tmpfs bb touch /d/x
	no_volumes() {
		[ -z "$("$WHERRY" volume ls -q -f dangling=true -f label=com.docker.volume.anonymous)" ]
	}
	eventually 20 no_volumes
	! grep -q " $DIR/data/volumes/.* tmpfs " /proc/mounts
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

# A file system whose server can be away: tests/integration/fuse_server.py. NFS and SMB are for tests/vm.
serve() { # DIRECTORY
	mkdir -p "$1"
	python3 "$BATS_TEST_DIRNAME/fuse_server.py" "$1" >"$DIR/fuse.log" 2>&1 3>&- &
	echo $! >"$DIR/fuse.pid"
	eventually 20 test -e "$1/file"
}

server() { # SIGNAL
	kill -"$1" "$(cat "$DIR/fuse.pid")"
}

end_server() { # DIRECTORY
	! [ -s "$DIR/fuse.pid" ] || kill -KILL "$(cat "$DIR/fuse.pid")" 2>/dev/null || true
	rm -f "$DIR/fuse.pid"
	while grep -q " $1 " /proc/mounts; do umount -l "$1"; done
}

state_of() { # VOLUME
	w volume inspect -f '{{.Status.State}}' "$1"
}

state_is() { # VOLUME STATE
	[ "$(state_of "$1")" = "$2" ]
}

all_answer() {
	timeout 30 "$WHERRY" ps -a >/dev/null
	timeout 30 "$WHERRY" inspect "$@" >/dev/null
	timeout 30 "$WHERRY" volume ls >/dev/null
	timeout 30 "$WHERRY" system df -v >/dev/null
}

@test "a server that does not answer wedges nothing, and its volume comes back" {
	[ -e /dev/fuse ] || skip "no FUSE"
	local at=$DIR/served pid
	serve "$at"
	w volume create --opt type=none --opt o=bind --opt device="$at" --label wherry.wait=true net >/dev/null
	w run -d --name user -v net:/d bb sleep 1000 >/dev/null
	[ "$(w exec user cat /d/file)" = served ]
	state_is net mounted
	pid=$(w inspect -f '{{.State.Pid}}' user)

	server USR1
	w exec -d user cat /d/file # it cannot be killed until the server is back
	eventually 60 state_is net degraded
	[ "$(w volume inspect -f '{{.Status.Reason}}' net)" = "the server does not answer" ]
	all_answer user
	timeout 30 "$WHERRY" run --rm bb true
	timeout 30 "$WHERRY" create --name bound -v "$at:/d" --mount "type=bind,source=$at,target=/e" bb true >/dev/null
	timeout 30 "$WHERRY" rm bound >/dev/null
	# a worker that cannot even be killed: its job ends with whoever asked for it
	"$WHERRY" cp user:/d/file "$DIR/copy" 3>&- &
	local copy=$!
	copy_is_held() {
		grep -qx "held $(pgrep -f -P "$(cat "$DIR/daemon.pid")" "wherry-worker files-")" "$DIR/fuse.log"
	}
	eventually 60 copy_is_held
	kill "$copy"
	eventually 60 grep -q 'does_not_end name=files-' "$DIR/daemon.log"
	run timeout 30 "$WHERRY" volume rm net
	[[ "$output" == *"volume is in use"* ]] || fail "$output"
	w run -d --name late -v net:/d bb sleep 1000 >/dev/null
	[ "$(w inspect -f '{{.State.Status}} {{.State.WherryWaitingFor}}' late)" = "restarting volume net" ]
	daemon_signal KILL
	daemon_start
	eventually 60 state_is net degraded
	all_answer user

	server USR2
	eventually 60 state_is net mounted
	[ "$(w exec user cat /d/file)" = served ]
	[ "$(w inspect -f '{{.State.Pid}}' user)" = "$pid" ]
	late_runs() {
		[ "$(w exec late cat /d/file)" = served ]
	}
	eventually 60 late_runs

	end_server "$at" # another server: what was mounted is no use any more
	serve "$at"
	back() {
		state_of net
		[ "$(w exec user cat /d/file)" = served ]
	}
	eventually 60 back
	w exec user sh -c 'echo mine >/d/new'
	[ "$(cat "$at/new")" = mine ]
	w rm -f user late >/dev/null
	eventually 20 state_is net unused
	unmounted net
	end_server "$at"
	w volume rm net >/dev/null
}

@test "a volume that is not there yet: a start waits, starts without, or fails" {
	local since
	since=$(date +%s)
	w volume create --opt type=none --opt o=bind --opt device="$DIR/later" --label wherry.wait=true waits >/dev/null
	w volume create --opt type=none --opt o=bind --opt device="$DIR/later" --opt wherry.wait=false without >/dev/null
	w volume create --opt type=nfs --opt o=addr=127.0.0.1,password=hidden --opt device=:/nothing fails >/dev/null
	w run -d --name waiter -v waits:/d bb sleep 1000 >/dev/null
	[ "$(w inspect -f '{{.State.Status}} {{.State.WherryWaitingFor}}' waiter)" = "restarting volume waits" ]
	[[ "$(w ps -a)" == *"Waiting for volume waits"* ]]
	state_is waits waiting
	w stop waiter >/dev/null # nobody waits any more
	eventually 20 state_is waits unused
	w start waiter >/dev/null
	[ "$(w inspect -f '{{.State.Status}}' waiter)" = restarting ]
	w run -d --name short -v waits:/d bb sleep 1000 >/dev/null
	w rm -f short >/dev/null
	state_is waits waiting
	w run -d --name goer -v without:/d bb sleep 1000 >/dev/null
	w run -d --name reader -v without:/d:ro bb sleep 1000 >/dev/null
	state_is without waiting
	run w exec goer touch /d/lost
	[[ "$output" == *"Read-only file system"* ]] || fail "$output"
	run w run --rm -v fails:/d bb true
	[[ "$output" == *"error while mounting volume '$DIR/data/volumes/fails/_data': "* ]] || fail "$output"
	[[ "$output" != *hidden* ]] || fail "$output"

	mkdir "$DIR/later"
	echo come >"$DIR/later/file"
	came() { # VOLUME CONTAINER
		state_of "$1"
		[ "$(w exec "$2" cat /d/file)" = come ]
	}
	eventually 60 came waits waiter
	eventually 60 came without goer
	eventually 60 came without reader
	w exec goer touch /d/kept
	[ -e "$DIR/later/kept" ]
	run w exec reader touch /d/lost
	[[ "$output" == *"Read-only file system"* ]] || fail "$output"
	api GET "/events?since=$since&until=$(($(date +%s) + 1))&filters=%7B%22type%22:%7B%22volume%22:true%7D%7D" >"$DIR/events"
	grep -q '"Action":"waiting","Actor":{"ID":"waits"' "$DIR/events"
	grep -q '"Action":"mounted","Actor":{"ID":"waits"' "$DIR/events"
	w rm -f waiter goer reader >/dev/null
	eventually 20 unmounted waits
	eventually 20 unmounted without
	eventually 20 test ! -e "$DIR/run/volumes"
}

@test "credentials are kept by the engine, and nobody is shown them" {
	w volume create --opt type=cifs --opt device=//127.0.0.1/share share >/dev/null
	put() { # VOLUME TEXT
		api PUT "/wherry/v1/volumes/$1/credentials" -H 'Content-Type: application/json' -d "{\"credentials\": \"$2\"}"
	}
	put share 'username=bob\npassword=wonderful\n'
	[ "$(stat -c %a "$DIR/data/volumes/share/credentials")" = 600 ]
	[[ "$(put share 'wonderful')" == *"line 1 of the credentials"* ]]
	! put share 'wonderful' | grep -q wonderful
	[[ "$(put nosuch 'username=bob')" == *"no such volume"* ]]
	w volume create plain >/dev/null
	[[ "$(put plain 'username=bob')" == *"not of the type cifs"* ]]
	run w run --rm -v share:/d bb true # this kernel has no cifs, or nothing serves there
	[ "$status" -ne 0 ]
	! w volume inspect share | grep -q wonderful
	! grep -q wonderful "$DIR/daemon.log"
	w volume rm share plain >/dev/null
	[ ! -e "$DIR/data/volumes/share" ]
	printf 'username=bob\npassword=wonderful\n' >"$DIR/cred"
	chmod 644 "$DIR/cred"
	w volume create --opt type=cifs --opt device=//127.0.0.1/share --label wherry.credentials="$DIR/cred" named >/dev/null
	run w run --rm -v named:/d bb true
	[[ "$output" == *"the credentials $DIR/cred are open to others than root: chmod 600"* ]] || fail "$output"
	w volume rm named >/dev/null
}

@test "compose gives the engine a volume's credentials, and gives them again" {
	local kept=$DIR/data/volumes/nas_share/credentials
	mkdir -p "$DIR/nas"
	cat >"$DIR/nas/compose.yaml" <<-'C'
		name: nas
		services:
		  app: {image: bb, command: "true", volumes: ["share:/s"]}
		volumes:
		  share:
		    driver_opts: {type: cifs, device: //127.0.0.1/share}
		    x-wherry: {credentials: login, wait: true}
		secrets:
		  login: {environment: LOGIN}
	C
	nas() {
		w compose -f "$DIR/nas/compose.yaml" "$@"
	}
	export LOGIN=$'username=bob\npassword=first\n'
	nas create
	[ "$(stat -c %a "$kept")" = 600 ]
	grep -qx password=first "$kept"
	[ "$(w volume inspect -f '{{index .Labels "wherry.wait"}}' nas_share)" = true ]
	! w volume inspect nas_share | grep -q first
	! nas config | grep -q first
	LOGIN=$'username=bob\npassword=second\n' nas create
	grep -qx password=second "$kept"
	run env LOGIN=nonsense "$WHERRY" compose -f "$DIR/nas/compose.yaml" create
	[ "$status" -ne 0 ]
	[[ "$output" == *"line 1 of the credentials is none of"* && "$output" != *nonsense* ]] || fail "$output"
	printf 'username=bob\npassword=third\n' >"$DIR/third"
	w volume create --credentials "$DIR/third" --opt type=cifs --opt device=//127.0.0.1/share nas_share >/dev/null
	grep -qx password=third "$kept"
	nas down -v
	[ ! -e "$kept" ]
}
