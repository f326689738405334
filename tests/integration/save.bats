# Images out of the daemon and in again: save, load, and what other tools make of the archives.
bats_require_minimum_version 1.5.0
load lib.bash

CORPUS=$BATS_TEST_DIRNAME/../fuzz/corpus/unpack # layers of every form, some of which their own entries replace

setup_file() {
	export DOCKER
	DOCKER=$(docker_cli)
	[ -x "$DOCKER" ] || fail "no docker CLI: ./test fetches it"
	daemon_setup
	cd "$DIR"
	mkdir small
	head -c 6000000 /dev/urandom >small/big && tar -C small -cf big.tar big
	echo 2 >small/two && tar -C small -cf two.tar two
	make save --tag odd:1 odd-in.tar "$CORPUS"/{good,replaced,concatenated,sparse-gnu-old,sparse-pax-1.0,pax-nanoseconds-xattrs,size-pax-override}
	make save --tag big:1 big-in.tar big.tar
	make save --tag two:1 two-in.tar two.tar big.tar
}

teardown_file() {
	daemon_teardown
}

setup() {
	cd "$DIR"
}

teardown() { # a client that a failed test left
	[ -z "${CLIENT:-}" ] || kill "$CLIENT" 2>/dev/null || true
}

d() {
	"$DOCKER" "$@"
}

make() {
	python3 "$BATS_TEST_DIRNAME/image_archives.py" "$@"
}

load_all() {
	for image in odd big two; do
		d load -q -i $image-in.tar
	done
}

# Children before their parents, whatever their order.
remove_all() {
	local round
	for round in 1 2 3; do
		[ -n "$(d images -aq)" ] || return 0
		d rmi -f $(d images -aq --no-trunc | sort -u) || true
	done
	[ -z "$(d images -aq)" ]
}

# Every blob is named after its bytes, and what index.json and manifest.json name is there.
check_archive() {
	python3 - "$1" <<-'END'
		import hashlib, json, sys, tarfile
		t = tarfile.open(sys.argv[1])
		files = {m.name: t.extractfile(m).read() for m in t if m.isfile()}
		blobs = {n: b for n, b in files.items() if n.startswith("blobs/sha256/")}
		assert all(hashlib.sha256(b).hexdigest() == n[13:] for n, b in blobs.items())
		blob = lambda d: blobs["blobs/sha256/" + d["digest"][7:]]
		used = set()
		for m in json.loads(files["index.json"])["manifests"]:
		    doc = json.loads(blob(m))
		    assert m["size"] == len(blob(m)) and m["mediaType"] == doc["mediaType"]
		    ids = json.loads(blob(doc["config"]))["rootfs"]["diff_ids"]
		    assert ids == [l["digest"] for l in doc["layers"]]
		    assert all(l["size"] == len(blob(l)) for l in doc["layers"])
		    used |= {m["digest"], doc["config"]["digest"], *ids}
		docker = json.loads(files["manifest.json"])
		for i in docker:
		    assert set([i["Config"], *i["Layers"]]) <= set(blobs)
		assert used == {"sha256:" + n[13:] for n in blobs}
		assert files["oci-layout"] == b'{"imageLayoutVersion": "1.0.0"}'
		tags = [t for i in docker for t in i["RepoTags"] or []]
		assert sorted(tags) == sorted(n + ":" + t for n, ts in json.loads(files.get("repositories", "{}")).items() for t in ts)
		print(*sorted(tags))
	END
}

@test "what is saved is what was loaded, layer by layer" {
	load_all
	d save -o odd.tar odd:1
	run -0 check_archive odd.tar
	[ "$output" = odd:1 ]
	mkdir odd && tar -C odd -xf odd.tar
	for layer in good replaced concatenated sparse-gnu-old sparse-pax-1.0 pax-nanoseconds-xattrs size-pax-override; do
		cmp "$CORPUS/$layer" "odd/blobs/sha256/$(sha256sum <"$CORPUS/$layer" | head -c 64)"
	done
	d save odd:1 | cmp - odd.tar # and again the same bytes
	id=$(d images -q --no-trunc odd:1)
	remove_all
	run -0 d load -i odd.tar
	[ "$output" = "Loaded image: odd:1" ]
	[ "$(d images -q --no-trunc odd:1)" = "$id" ]
}

@test "several images, tags and ids in one archive" {
	load_all
	d tag big:1 big:2
	d tag big:1 example.org/a/b:3
	id=$(d images -q --no-trunc two:1)
	d save -o all.tar big "${id#sha256:}" odd:1 big:2 example.org/a/b:3
	run -0 check_archive all.tar
	[ "$output" = "big:1 big:2 example.org/a/b:3 odd:1" ]
	remove_all
	run -0 d load -i all.tar
	[[ "$output" == *"Loaded image: example.org/a/b:3"* ]]
	[[ "$output" == *"Loaded image ID: $id"* ]]
	[ "$(d images -q | sort -u | wc -l)" = 3 ]
}

@test "what was built, committed and imported comes back" {
	d import two.tar imported:1
	printf 'FROM imported:1\nCOPY two /there\n' >small/Dockerfile
	DOCKER_BUILDKIT=0 d build -q -t built:1 small
	c=$(d create built:1 x)
	d cp small/two "$c:/copied"
	d commit "$c" committed:1
	d rm "$c"
	ids=$(d images -q --no-trunc built:1; d images -q --no-trunc committed:1)
	d save built:1 committed:1 imported:1 >made.tar
	check_archive made.tar
	remove_all
	d load -q -i made.tar
	[ "$(d images -q --no-trunc built:1; d images -q --no-trunc committed:1)" = "$ids" ]
}

@test "what cannot be saved says why" {
	run -1 d save nothing
	[[ "$output" == *"No such image: nothing" ]]
	run -1 d save big:nothing
	[[ "$output" == *"reference does not exist" ]]
	load_all
	run -1 "$WHERRY" save -o no.tar big:1 nothing
	[ ! -e no.tar ] && [ ! -e no.tar.part ]
	run -1 "$WHERRY" save --platform linux/s390x -o no.tar big:1
	[[ "$output" == *"does not match the specified platform"* ]]
	"$WHERRY" save big:1 -o yes.tar
	check_archive yes.tar
}

@test "an image that is removed meanwhile is saved whole" {
	remove_all
	d load -q -i big-in.tar
	mkfifo slow
	curl -sf --unix-socket "$SOCK" "http://d/images/big:1/get" >slow 3>&- &
	CLIENT=$!
	exec 7<slow
	head -c 1000 <&7 >slow.tar
	d rmi big:1
	d image prune -af
	d pull nothing.invalid/x 2>/dev/null || true # and whatever else collects
	[ -d "$(layer_of big.tar)" ]
	cat <&7 >>slow.tar
	exec 7<&-
	wait "$CLIENT"
	check_archive slow.tar
	eventually 10 no_layer big.tar
}

layer_of() { # of a plain tar
	echo "data/layers/$(sha256sum <"$1" | head -c 24)"
}

no_layer() {
	[ ! -e "$(layer_of "$1")" ] && [ ! -e "$(layer_of "$1").recipe" ]
}

saving() { # whether a worker of our daemon's saves
	pgrep -P "$(cat daemon.pid)" -f '^wherry-worker save' >/dev/null
}

nobody_saves() {
	! saving
}

@test "a client that goes away ends its save, also one that had stopped to read" {
	load_all
	for signal in CONT STOP; do
		curl -s --limit-rate 100k --unix-socket "$SOCK" http://d/images/big:1/get -o /dev/null 3>&- &
		CLIENT=$!
		eventually 10 saving
		kill -$signal $CLIENT
		kill -KILL $CLIENT
		eventually 10 nobody_saves
	done
	remove_all # nothing holds its layers
	eventually 10 no_layer big.tar
}

@test "a damaged layer, and one without a recipe, are not saved" {
	remove_all
	d load -q -i big-in.tar
	layer=$(layer_of big.tar)
	mv "$layer/big" kept
	run ! d save -o damaged.tar big:1
	[ ! -e damaged.tar ]
	mv kept "$layer/big"
	mv "$layer.recipe" kept
	run -1 d save -o damaged.tar big:1
	[[ "$output" == *"has no recipe"* ]]
	mv kept "$layer.recipe"
	d save big:1 >repaired.tar
	check_archive repaired.tar
}

@test "skopeo and umoci read it, and what they write is loaded" {
	command -v skopeo && command -v umoci || skip "skopeo or umoci is missing"
	remove_all
	d load -q -i two-in.tar
	id=$(d images -q --no-trunc two:1)
	d save -o two-out.tar two:1
	skopeo --insecure-policy copy -q docker-archive:two-out.tar:two:1 oci:made:1
	skopeo --insecure-policy copy -q oci-archive:two-out.tar oci-archive:plain.tar
	mkdir layout && tar -C layout -xf two-out.tar
	umoci unpack --rootless --image layout:1 bundle
	cmp bundle/rootfs/two small/two
	umoci config --image made:1 --config.label a=b
	tar -C made -czf made.tgz .
	remove_all
	d load -i plain.tar
	[ "$(d images -q --no-trunc)" = "$id" ]
	d load -i made.tgz
	[ "$(d images -q | wc -l)" = 2 ]
}

@test "archives with attestations, and a skopeo directory, give the same image" {
	remove_all
	d load -q -i two-in.tar
	id=$(d images -q --no-trunc two:1)
	for way in --docker "--docker --gzip" --zstd; do # buildx -o type=docker and type=oci
		remove_all
		made=$(python3 "$BATS_TEST_DIRNAME/image_archives.py" layout --attest $way --tag localhost/built:1 built.tar two.tar big.tar)
		d load -q -i built.tar
		[ "$(d images --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}')" = "localhost/built:1 $made" ]
	done
	run -1 "$WHERRY" load -q --platform linux/s390x -i built.tar
	[[ "$output" == *"requested platform (linux/s390x) not found"* ]]
	command -v skopeo || skip "skopeo is missing"
	remove_all
	skopeo --insecure-policy copy -q docker-archive:two-in.tar:two:1 dir:skopeo-dir
	tar -C skopeo-dir -cf dir.tar .
	run -0 d load -i dir.tar
	config=$(jq -r .config.digest skopeo-dir/manifest.json)
	[ "$output" = "Loaded image ID: $config" ]
	skopeo --insecure-policy copy -q docker-archive:two-in.tar:two:1 docker-archive:again.tar:two:2
	skopeo --insecure-policy copy -q docker-archive:two-in.tar:two:1 oci-archive:again-oci.tar:two:3
	d load -q -i again.tar
	[ "$(d images -q --no-trunc two:2)" = "$config" ]
}

@test "only images of the platform that was asked for are loaded" {
	remove_all
	run -1 "$WHERRY" load -q --platform linux/mips -i two-in.tar
	[[ "$output" == *"requested platform (linux/mips) not found"* ]]
	[ -z "$(d images -aq)" ]
	"$WHERRY" load -q --platform "linux/$(d version -f '{{.Server.Arch}}')" -i two-in.tar
	[ "$(d images -q | wc -l)" = 1 ]
}
