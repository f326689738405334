# A store that one can trust: damaged layers are found, kept from containers, and fetched again.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	daemon_setup
	make_busybox
	cd "$DIR"
	mkdir -p one/{a,b} two ctx
	echo "first file" >one/a/first
	ln -s first one/a/link
	ln one/a/first one/b/hard
	mknod one/b/fifo p
	tar -C one -cf one.tar a b
	echo second >two/second
	tar -C two -cf two.tar second
	archive bb:1 bb.tar one.tar two.tar >bb1.tar
}

teardown_file() {
	[ ! -e "$DIR/registry.pid" ] || kill "$(cat "$DIR/registry.pid")" || true
	daemon_teardown
}

setup() {
	cd "$DIR"
}

w() {
	"$WHERRY" "$@"
}

# A `docker save` archive of one image that runs sh, of these layer tars.
archive() { # TAG LAYER...
	python3 - "$@" <<-'END'
		import hashlib, io, json, sys, tarfile
		out = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")
		def add(name, data):
		    t = tarfile.TarInfo(name)
		    t.size = len(data)
		    out.addfile(t, io.BytesIO(data))
		layers = [open(p, "rb").read() for p in sys.argv[2:]]
		ids = [hashlib.sha256(d).hexdigest() for d in layers]
		for i, d in dict(zip(ids, layers)).items():
		    add(i + "/layer.tar", d)
		add("c.json", json.dumps({"os": "linux", "architecture": "amd64", "config": {"Cmd": ["sh"]},
		    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + i for i in ids]}}).encode())
		add("manifest.json", json.dumps([{"Config": "c.json", "RepoTags": [sys.argv[1]],
		    "Layers": [i + "/layer.tar" for i in ids]}]).encode())
		out.close()
	END
}

layer() { # TAR: its directory in the store
	echo "$DIR/data/layers/$(sha256sum <"$1" | head -c 24)"
}

# COMMAND damages the layer one.tar; verify [FLAGS] says WORDS, no container starts; a load mends it.
damaged() { # WORDS FLAGS COMMAND...
	local words=$1 flags=$2 d
	shift 2
	w load -qi bb1.tar >/dev/null
	w create --name waits --network none bb:1 true >/dev/null
	d=$(layer one.tar)
	[ -e "$d/a/first" ] || fail "the layer is not there"
	(cd "$d" && "$@")
	run w image verify $flags bb:1
	[ "$status" -eq 1 ] || fail "$*: not found: $output"
	[[ "$output" == "bb:1: damaged"*"layer $(basename "$d" | head -c 12): "*"$words"*"load or build it again" ]] || fail "$*: $output"
	run w start waits
	[ "$status" -ne 0 ]
	[[ "$output" == *"layer sha256:"*" of image bb:1 is damaged ("*"$words"* ]] || fail "$output"
	[ "$(w image inspect -f '{{len .WherryDamage}}' bb:1)" = 1 ]
	w load -qi bb1.tar >/dev/null
	[ "$(w image verify --deep bb:1)" = "bb:1: whole" ]
	w start waits
	w rm -f waits >/dev/null
	w rmi -f bb:1 >/dev/null
}

@test "a whole store is whole, also by its contents, whatever made its layers" {
	w load -qi bb1.tar >/dev/null
	printf 'FROM bb:1\nRUN mkdir /d && ln -s x /d/y && rm /second && chmod 4755 /bin/busybox && chown 7:8 /a\nCOPY one.tar /\n' >ctx/Dockerfile
	cp one.tar ctx
	w build -q -t built ctx >/dev/null
	w run --network none --name changes built sh -c 'rm -r /b && echo 1 >/new && mkdir /a/new'
	w commit changes committed >/dev/null
	w rm changes >/dev/null
	w import -q two.tar imported 2>/dev/null || w import two.tar imported >/dev/null
	run w image verify
	[ "$status" -eq 0 ] || fail "$output"
	run w image verify --deep
	[ "$status" -eq 0 ] || fail "$output"
	[ "$(grep -c ': whole$' <<<"$output")" -eq 4 ] || fail "$output"
	[ -z "$(w image verify -q)" ]
	run w image verify nope
	[ "$status" -eq 1 ]
	[[ "$output" == *"No such image: nope:latest" ]]
	w rmi -f built committed imported bb:1 >/dev/null
	api POST "/build/prune?all=1" >/dev/null
}

@test "whatever is wrong with a layer's files is found, and nothing starts with it" {
	damaged "a/first is missing" "" rm a/first
	damaged "a/first has another size" "" sh -c 'echo >>a/first'
	damaged "a/first has another mode" "" sh -c 'chmod 600 a/first'
	damaged "b has another owner" "" chown 5 b
	damaged "a/link leads elsewhere" "" sh -c 'ln -sf second a/link'
	damaged "b/fifo is of another kind" "" sh -c 'rm b/fifo; touch b/fifo'
	damaged "a has another time" "" touch a
	damaged "a/stranger is not of this layer" "" sh -c 'touch a/stranger -r a/first; touch -d @1000000000 b; mkdir -p a; touch a -r ../empty; true'
}

@test "contents are compared by a deep look, which finds what a quick one does not" {
	w load -qi bb1.tar >/dev/null
	(cd "$(layer one.tar)" && touch -r a/first ref && printf 'fiRst file\n' >a/first && touch -r ref a/first && touch -r "$DIR/one/a" a && rm ref)
	run w image verify bb:1
	[ "$status" -eq 0 ] || fail "$output"
	run w image verify --deep bb:1
	[ "$status" -eq 1 ]
	[[ "$output" == *"the contents of some file have changed"* ]] || fail "$output"
	run w image verify bb:1 # what is known stays known
	[ "$status" -eq 1 ]
	run w run --rm --network none bb:1 true
	[ "$status" -ne 0 ]
	daemon_signal TERM && daemon_start # and outlives a restart
	run w run --rm --network none bb:1 true
	[[ "$output" == *"is damaged"* ]] || fail "$output"
	printf 'FROM bb:1\n' >ctx/Dockerfile
	run w build -q ctx
	[ "$status" -ne 0 ]
	[[ "$output" == *"is damaged"* ]] || fail "$output"
	w load -qi bb1.tar >/dev/null
	w run --rm --network none bb:1 true
	w rmi bb:1 >/dev/null
}

@test "a lost directory or recipe is damage; the rest of the store is not touched" {
	w load -qi bb1.tar >/dev/null
	archive other:1 bb.tar >other.tar
	w load -qi other.tar >/dev/null
	daemon_signal TERM
	rm -r "$(layer one.tar)"
	daemon_start
	[ "$(w images -q bb:1)" != "" ]
	run w image verify
	[ "$status" -eq 1 ]
	[[ "$output" == *"other:1: whole"* && "$output" == *"its directory is missing"* ]] || fail "$output"
	w run --rm --network none other:1 true
	w load -qi bb1.tar >/dev/null
	w run --rm --network none bb:1 true
	printf 'garbage' >"$(layer one.tar).recipe"
	run w image verify bb:1
	[ "$status" -eq 1 ]
	[[ "$output" == *"recipe"* ]] || fail "$output"
	w load -qi bb1.tar >/dev/null
	[ "$(w image verify --deep bb:1)" = "bb:1: whole" ]
	w rmi bb:1 other:1 >/dev/null
}

registry_start() {
	local port
	command -v docker-registry >/dev/null && command -v skopeo >/dev/null || skip "docker-registry or skopeo is missing"
	port=$(free_port)
	cat >registry.yml <<-END
		version: 0.1
		log: {level: error, accesslog: {disabled: false}}
		storage: {filesystem: {rootdirectory: $DIR/registry}}
		http: {addr: "127.0.0.1:$port"}
	END
	docker-registry serve registry.yml >registry.log 2>&1 3>&- &
	echo $! >registry.pid
	eventually 20 curl -sf "http://127.0.0.1:$port/v2/"
	REPO=127.0.0.1:$port/lib/bb
	skopeo --insecure-policy copy -q --dest-tls-verify=false docker-archive:bb1.tar:bb:1 "docker://$REPO:1"
}

nothing_replaced() {
	[ ! -e "$DIR/data/layers/replaced" ]
}

@test "repair fetches the damaged layer alone; a running container keeps the files it has" {
	registry_start
	w pull -q "$REPO:1" >/dev/null
	w run -d --network none --name runs "$REPO:1" sh -c 'sleep 1000' >/dev/null
	d=$(layer one.tar)
	ln "$d/b/hard" "$DIR/kept" # the same file system: the inode tells
	rm "$d/a/first"
	gone=$(wc -l <registry.log)
	run w image verify --repair "$REPO:1"
	[ "$status" -eq 0 ] || fail "$output"
	[ "$output" = "$REPO:1: repaired" ] || fail "$output"
	[ "$(tail -n +$((gone + 1)) registry.log | grep -c 'GET /v2/lib/bb/blobs/sha256')" -le 2 ] # configuration and layer
	[ -e "$d/a/first" ]
	[ "$(w exec runs cat /b/hard)" = "first file" ]
	[ "$(ls "$DIR/data/layers/replaced" | wc -l)" -eq 1 ]
	daemon_signal TERM && daemon_start
	[ "$(w exec runs cat /b/hard)" = "first file" ]
	w rm -f runs >/dev/null
	w run --rm --network none "$REPO:1" cat /a/first
	archive other:1 two.tar >other.tar # what is collected takes it along
	w load -qi other.tar >/dev/null
	w rmi other:1 >/dev/null
	eventually 20 nothing_replaced
	rm -f "$DIR/kept"
	# what the registry does not have any more is said
	rm -r "$d"
	kill "$(cat registry.pid)"
	eventually 20 process_ended "$(cat registry.pid)"
	rm registry.pid
	daemon_signal TERM && daemon_start
	run w image verify --repair
	[ "$status" -eq 1 ]
	[[ "$output" == "$REPO:1: damaged"*"its directory is missing"*"refused"* ]] || fail "$output"
	w rmi -f "$REPO:1" >/dev/null
}

logged() {
	grep -q "$1" "$DIR/daemon.log"
}

@test "after a power cut all layers are looked at, and only then" {
	w load -qi bb1.tar >/dev/null
	daemon_signal KILL && daemon_start
	! logged power-was-lost
	daemon_signal TERM && daemon_start
	! logged power-was-lost
	[ "$(cat "$DIR/data/running")" = "$(cat /proc/sys/kernel/random/boot_id)" ]
	daemon_signal KILL
	echo another-boot >"$DIR/data/running"
	rm "$(layer one.tar)/a/first"
	daemon_start
	logged power-was-lost
	eventually 20 logged 'layers-checked .*damaged_n=1'
	run w run --rm --network none bb:1 true
	[[ "$output" == *"is damaged"* ]] || fail "$output"
	w rmi bb:1 >/dev/null
	daemon_signal TERM
	[ ! -e "$DIR/data/running" ]
	daemon_start
}

@test "125 layers run, 126 are refused" {
	mkdir -p many
	for i in $(seq 125); do
		echo "$i" >many/f
		tar -C many --mtime=@0 -cf "many/$i.tar" f
	done
	archive many:125 bb.tar $(seq -f 'many/%.0f.tar' 124) >many.tar
	w load -qi many.tar >/dev/null
	[ "$(w run --rm --network none many:125 cat /f)" = 124 ]
	[ "$(w image verify --deep many:125)" = "many:125: whole" ]
	archive many:126 bb.tar $(seq -f 'many/%.0f.tar' 125) >many.tar
	run w load -qi many.tar
	[ "$status" -ne 0 ]
	[[ "$output" == *"the image has 126 layers; at most 125 can be mounted"* ]] || fail "$output"
	w rmi many:125 >/dev/null
}

nothing_is_left() {
	[ "$(ls "$DIR/data/layers" | tr '\n' ' ')" = "empty tmp " ] && [ -z "$(ls "$DIR/data/layers/tmp")" ]
}

# Every answer of a run is the image's own, or says that the image is not there (any more).
race_run() {
	local i out
	for i in $(seq 12); do
		out=$(w run --rm --network none --pull never "$1" cat /second 2>&1) && [ "$out" = second ] && continue
		case $out in
		*"No such image"* | *"image is not here"*) ;;
		*) echo "$1: $out" >>race.wrong ;;
		esac
	done
}

race_work() { # N COMMAND...: its refusals are part of the race, words about layers are not
	local i out n=$1
	shift
	for i in $(seq "$n"); do
		out=$("$@" 2>&1) && continue
		case $out in
		*"No such image"* | *conflict* | *"removed at once"*) ;;
		*) echo "$*: $out" >>race.wrong ;;
		esac
	done
}

@test "pulls, loads, builds, runs, commits, removals and prunes at once: each image runs or is absent" {
	local jobs=() id from
	registry_start
	rm -f race.wrong
	from=$(wc -l <daemon.log)
	printf "FROM $REPO:1\nRUN echo \$RANDOM >/random\n" >ctx/Dockerfile
	w load -qi bb1.tar >/dev/null
	w create --name base --network none bb:1 sh >/dev/null
	race_work 8 w load -qi bb1.tar & jobs+=($!)
	race_work 8 w pull -q "$REPO:1" & jobs+=($!)
	race_work 4 w build -q --no-cache -t raced ctx & jobs+=($!)
	race_work 6 w commit base raced:2 & jobs+=($!)
	race_work 10 w rmi -f bb:1 & jobs+=($!)
	race_work 10 w rmi -f "$REPO:1" & jobs+=($!)
	race_work 6 w rmi raced raced:2 & jobs+=($!)
	race_work 12 w image prune -f & jobs+=($!)
	race_work 6 api POST "/build/prune?all=1" & jobs+=($!)
	race_run bb:1 & jobs+=($!)
	race_run "$REPO:1" & jobs+=($!)
	race_run raced & jobs+=($!)
	wait "${jobs[@]}" || true
	[ ! -e race.wrong ] || fail "$(cat race.wrong)"
	w rm base >/dev/null
	run w image verify --deep -q
	[ "$status" -eq 0 ] || fail "$output"
	for id in $(w images -aq | sort -u); do
		[ "$(w run --rm --network none "$id" cat /second)" = second ]
	done
	! tail -n +"$from" daemon.log | grep -E 'layer-(damaged|lost)|image-lost' || fail "layers were lost"
	for id in $(w images -aq | sort -u); do
		w rmi -f "$id" >/dev/null || true
	done
	api POST "/build/prune?all=1" >/dev/null
	w image prune -af >/dev/null
	eventually 20 nothing_is_left
}
