# What comes out of a build: images of one platform and of several, in the store, in registries, in files; and the cache that stays.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	command -v docker-registry && command -v skopeo && command -v umoci || skip_all "docker-registry, skopeo or umoci is missing"
	export DOCKER R
	DOCKER=$(docker_cli)
	[ -x "$DOCKER" ] || fail "no docker CLI: ./test fetches it"
	daemon_setup
	cd "$DIR"
	busybox_image
	R=127.0.0.1:$(free_port)
	printf '%s\n' 'version: 0.1' 'log: {level: error, accesslog: {disabled: true}}' "http: {addr: \"$R\"}" \
		"storage: {filesystem: {rootdirectory: $DIR/registry}}" >registry.yml
	docker-registry serve registry.yml >registry.log 2>&1 3>&- &
	echo $! >registry.pid
	eventually 10 curl -s -o /dev/null "http://$R/v2/"
	mkdir ctx
	cat >ctx/Dockerfile <<-'END'
		FROM scratch
		ARG TARGETARCH
		COPY $TARGETARCH /arch
		COPY both /both
		CMD ["/arch"]
	END
	local a
	for a in amd64 arm64 s390x; do echo "I am $a" >ctx/$a; done
	head -c 300000 /dev/urandom >ctx/both
	tar -C ctx -cf ctx.tar .
	export OWN OTHER
	OWN=$("$WHERRY" version -f '{{.Server.Arch}}')
	OTHER=s390x
}

teardown_file() {
	[ ! -e "$DIR/registry.pid" ] || kill "$(cat "$DIR/registry.pid")" || true
	daemon_teardown
}

setup() {
	skip_if_all
	cd "$DIR"
}

w() {
	"$WHERRY" "$@"
}

# POST /build with the context in $1 and the query of the other arguments; what it streams is in build.out.
post_build() { # TAR KEY=VALUE...
	local tar=$1 url="http://d/build?x=1" pair
	shift
	for pair in "$@"; do
		url+="&${pair%%=*}=$(jq -rn --arg v "${pair#*=}" '$v|@uri')"
	done
	curl -s --unix-socket "$SOCK" -X POST -H 'Content-Type: application/x-tar' --data-binary "@$tar" "$url" >build.out
	! grep -q '"error"' build.out || {
		cat build.out
		return 1
	}
}

fresh_context() { # fresh.tar: as ctx.tar, with contents that no registry has
	rm -rf fresh && cp -r ctx fresh
	local a
	for a in ctx/*[!e]; do head -c 5000 /dev/urandom | base64 >fresh/"${a#ctx/}"; done
	tar -C fresh -cf fresh.tar .
}

both() { # NAME [KEY=VALUE...]
	local name=$1
	shift
	post_build ctx.tar "t=$name" "platform=linux/$OWN,linux/$OTHER" "$@"
}

arch_of() { # IMAGE [PLATFORM]: what its file says
	rm -rf out.tar
	w save "$1" ${2:+--platform "$2"} -o out.tar
	skopeo --insecure-policy copy -q docker-archive:out.tar oci:arch-of:x
	umoci unpack --rootless --image arch-of:x arch-bundle
	cat arch-bundle/rootfs/arch
	rm -rf arch-of arch-bundle
}

@test "several platforms are one name, of which this machine's is shown" {
	both multi:1
	[ "$(w images -q multi | wc -l)" = 1 ]
	[ "$(w image inspect -f '{{.Architecture}}' multi:1)" = "$OWN" ]
	w tag multi:1 multi:2
	id=$(w create --platform "linux/$OTHER" multi:2)
	[ "$(w inspect -f '{{.Image}}' "$id")" != "$(w image inspect -f '{{.Id}}' multi:1)" ]
	run -1 w create --platform linux/riscv64 multi:1
	[[ "$output" == *"does not match the specified platform"* ]]
	run -1 w rmi multi:1 multi:2 # a container holds one of them
	[[ "$output" == *"container"* ]]
	w rm "$id"
	w rmi multi:2 || w image prune -f
	[ -z "$(w images -q multi)" ]
	[ -z "$(w images -aq --filter reference=multi)" ]
}

@test "an index is saved, read by others, and loaded whole when asked" {
	both whole:1
	w save whole:1 -o whole.tar
	id=$(w images -q --no-trunc whole:1)
	rm -rf layout && mkdir layout && tar -C layout -xf whole.tar
	[ "$(jq -r '.manifests[0].mediaType' layout/index.json)" = application/vnd.oci.image.index.v1+json ]
	for a in "$OWN" "$OTHER"; do
		skopeo --insecure-policy --override-arch "$a" copy -q oci-archive:whole.tar oci:one-"$a":x
		umoci unpack --rootless --image one-"$a":x bundle-"$a"
		[ "$(cat bundle-"$a"/rootfs/arch)" = "I am $a" ]
	done
	w save whole:1 | cmp - whole.tar
	w save --platform "linux/$OTHER" whole:1 -o part.tar
	[ "$(tar -xOf part.tar manifest.json | jq length)" = 1 ]
	w rmi whole:1

	w load -i whole.tar # of this machine's platform alone
	[ "$(w images -q --no-trunc whole:1)" = "$id" ]
	run -1 w save --platform "linux/$OTHER" -o no.tar whole:1
	w load --platform all -i whole.tar
	w save whole:1 | cmp - whole.tar
	w rmi whole:1
	w load --platform "linux/$OTHER,linux/$OWN" -i whole.tar
	w save whole:1 | cmp - whole.tar
	w rmi whole:1
	[ -z "$(w images -aq --filter reference=whole)" ]
	run -1 w load --platform linux/mips,linux/riscv64 -i whole.tar
}

@test "an index is pushed, and pulled for either platform" {
	both "$R/app/multi:1"
	w push "$R/app/multi:1" | grep -q 'digest: sha256:'
	skopeo inspect --raw --tls-verify=false "docker://$R/app/multi:1" >index
	[ "$(jq '.manifests | length' index)" = 2 ]
	digest=sha256:$(sha256sum <index | cut -d' ' -f1)
	w image inspect -f '{{.RepoDigests}}' "$R/app/multi:1" | grep -qF "$R/app/multi@$digest"
	w rmi "$R/app/multi:1"
	for a in "$OWN" "$OTHER"; do
		w pull -q --platform "linux/$a" "$R/app/multi:1"
		[ "$(w image inspect -f '{{.Architecture}}' "$R/app/multi:1")" = "$a" ]
		w rmi "$R/app/multi:1"
	done
}

@test "a restart keeps an index, and a name that moves on leaves nothing behind" {
	both kept:1
	daemon_signal TERM
	daemon_start
	w save kept:1 -o kept.tar
	[ "$(tar -xOf kept.tar manifest.json | jq length)" = 2 ]
	post_build ctx.tar t=kept:1 target= "labels={\"a\":\"b\"}" "platform=linux/$OWN"
	w image prune -f
	w save kept:1 -o kept.tar
	[ "$(tar -xOf kept.tar manifest.json | jq length)" = 1 ]
	w rmi kept:1
	[ -z "$(w images -aq --filter dangling=true)" ]
}

@test "an output is pushed where it is asked for, by name or by digest, in other compressions" {
	post_build ctx.tar "platform=linux/$OWN,linux/$OTHER" \
		"outputs=[{\"Type\":\"image\",\"Attrs\":{\"name\":\"$R/out/a:1,$R/out/b:2\",\"push\":\"true\"}}]"
	for name in out/a:1 out/b:2; do
		skopeo inspect --raw --tls-verify=false "docker://$R/$name" | jq -e '.manifests | length == 2'
	done
	w image inspect "$R/out/a:1" >/dev/null

	fresh_context # layers that are there already stay as they are
	post_build fresh.tar "platform=linux/$OWN" \
		"outputs=[{\"Type\":\"image\",\"Attrs\":{\"name\":\"$R/out/zstd:1\",\"push\":\"true\",\"compression\":\"zstd\",\"store\":\"false\"}}]"
	skopeo inspect --raw --tls-verify=false "docker://$R/out/zstd:1" | jq -e 'all(.layers[]; .mediaType | endswith("zstd"))'
	run -1 w image inspect "$R/out/zstd:1"
	skopeo --insecure-policy copy -q --src-tls-verify=false "docker://$R/out/zstd:1" dir:zstd
	zstd -dcq "zstd/$(jq -r '.layers[0].digest' zstd/manifest.json | cut -d: -f2)" | tar -xO arch | cmp - fresh/"$OWN"

	fresh_context
	post_build fresh.tar "platform=linux/$OWN" \
		"outputs=[{\"Type\":\"image\",\"Attrs\":{\"name\":\"$R/out/dig\",\"push\":\"true\",\"push-by-digest\":\"true\",\"compression\":\"uncompressed\"}}]"
	[ "$(curl -s "http://$R/v2/out/dig/tags/list" | jq '.tags | length')" = 0 ]
	digest=$(w images --digests --format '{{.Repository}} {{.Digest}}' | awk -v r="$R/out/dig" '$1 == r { print $2 }')
	skopeo inspect --raw --tls-verify=false "docker://$R/out/dig@$digest" | jq -e 'all(.layers[]; .mediaType | endswith(".tar"))'

	run ! post_build ctx.tar 'outputs=[{"Type":"nothing","Attrs":{}}]'
	grep -q 'exporter \\"nothing\\" could not be found' build.out
	run ! post_build ctx.tar 'outputs=[{"Type":"image","Attrs":{"push":"true"}}]'
	grep -q 'tag is needed when pushing' build.out
	run ! post_build ctx.tar 'outputs=[{"Type":"image","Attrs":{"push":"perhaps","name":"x"}}]'
}

@test "an image without a name can have one with its digest" {
	post_build ctx.tar 'outputs=[{"Type":"image","Attrs":{"dangling-name-prefix":"dangling"}}]'
	w images --digests --format '{{.Repository}} {{.Tag}} {{.Digest}}' | grep -q '^dangling <none> sha256:'
	post_build ctx.tar 'outputs=[{"Type":"image","Attrs":{"name":"canon:1","name-canonical":"true"}}]'
	w image inspect -f '{{.RepoDigests}}' canon:1 | grep -q 'canon@sha256:'
}

df_cache() { # JQ
	api GET '/system/df?type=build-cache' | jq "$@"
}

prune_cache() { # FILTERS [QUERY]
	api POST "/build/prune?filters=$(jq -rn --arg v "$1" '$v|@uri')${2:+&$2}"
}

@test "what the cache keeps is shown, and pruned by what it is" {
	mkdir -p steps && cat >steps/Dockerfile <<-'END'
		FROM bb
		RUN head -c 50000 /dev/zero >/made
		RUN --mount=type=cache,target=/kept,id=mine head -c 7000 /dev/zero >/kept/file
	END
	tar -C steps -cf steps.tar .
	prune_cache '{}' all=true >/dev/null
	post_build steps.tar t=steps:1
	df_cache . >df.json
	[ "$(jq '.BuildCache | length' df.json)" = 3 ]
	jq -e '.BuildCache[] | select(.Description | startswith("RUN head")) | .Type == "regular" and .Shared and .Size == 50000 and (.InUse | not) and .UsageCount == 1' df.json
	jq -e '.BuildCache[] | select(.Type == "exec.cachemount") | .Size >= 7000 and (.Shared | not) and (.Description | contains("/kept"))' df.json
	jq -e '[.BuildCache[] | select(.Type == "regular" and .Parents)] | length == 1' df.json
	post_build steps.tar t=steps:2
	df_cache -e '.BuildCache[] | select(.Description | startswith("RUN head")) | .UsageCount == 2'

	[ "$(prune_cache '{"type":["regular"]}' | jq -c .CachesDeleted)" = null ] # an image has them
	[ "$(prune_cache '{"until":["24h"]}' all=true | jq .SpaceReclaimed)" = 0 ]
	[ "$(prune_cache '{"private":[""]}' | jq '.CachesDeleted | length')" = 1 ]
	[ "$(df_cache '.BuildCache | length')" = 2 ]
	id=$(df_cache -r '.BuildCache[] | select(.Size == 50000) | .ID')
	prune_cache "{\"id\":[\"$id\"]}" all=true | jq -e --arg id "$id" '.CachesDeleted == [$id] and .SpaceReclaimed == 50000'
	w rmi steps:1 steps:2
	post_build steps.tar t=steps:1
	w rmi steps:1
	prune_cache '{}' keep-storage=1000000000 | jq -e '.SpaceReclaimed == 0'
	prune_cache '{}' 'keep-storage=10000' | jq -e '.SpaceReclaimed >= 50000'
	prune_cache '{}' all=true >/dev/null
	[ "$(df_cache '.BuildCache | length')" = 0 ]

	# several bounds: what goes has to be beyond each of them
	post_build steps.tar t=steps:1
	w rmi steps:1
	prune_cache '{"type":["regular"],"until":["24h"]}' 'all=true&keep-storage=1' | jq -e '.SpaceReclaimed == 0'
	prune_cache '{"type":["regular"],"until":["0s"]}' 'all=true&keep-storage=1000000000' | jq -e '.SpaceReclaimed == 0'
	prune_cache '{"type":["exec.cachemount"],"until":["0s"]}' 'all=true&keep-storage=1' | jq -e '(.CachesDeleted | length) == 1 and .SpaceReclaimed < 50000'
	[ "$(df_cache -r '[.BuildCache[].Type] | unique | join(" ")')" = regular ]
	prune_cache '{"type":["regular"],"until":["0s"]}' 'all=true&keep-storage=1' | jq -e '.SpaceReclaimed >= 50000'
	prune_cache '{}' all=true >/dev/null
	[ "$(df_cache '.BuildCache | length')" = 0 ]
	api POST '/build/prune?filters=%7B%22nonsense%22:%5B%221%22%5D%7D' | grep -q "invalid filter 'nonsense'"
	api POST '/build/prune?filters=%7B%22until%22:%5B%221h%22%5D,%22unused-for%22:%5B%221h%22%5D%7D' | grep -q conflicting
}

kit() { # the docker CLI with BuildKit's calls
	DOCKER_BUILDKIT=1 "$DOCKER" build --progress plain "$@" 2>&1
}

bx() {
	"$BUILDX" build --progress plain "$@" 2>&1
}

find_buildx() {
	local at
	for at in "${BUILDX:-}" /usr/libexec/docker/cli-plugins/docker-buildx /usr/lib/docker/cli-plugins/docker-buildx \
		/var/tmp/ref-trixie/usr/libexec/docker/cli-plugins/docker-buildx; do
		[ ! -x "$at" ] || {
			BUILDX=$at
			return 0
		}
	done
	return 1
}

@test "files of several platforms are in directories of theirs, unless they are not to be" {
	rm -rf split && mkdir split
	printf 'FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /$TARGETARCH\n' >split/Dockerfile
	cp ctx/"$OWN" ctx/"$OTHER" split/
	w build -q --platform "linux/$OWN,linux/$OTHER" -o type=local,dest=split/out,platform-split=false split
	[ "$(ls split/out)" = "$(printf '%s\n' "$OWN" "$OTHER" | sort)" ]
	w build -q --platform "linux/$OWN" -o type=local,dest=split/one,platform-split=true split
	[ "$(cat split/one/linux_"$OWN/$OWN")" = "I am $OWN" ]
}

@test "annotations are on what they name, of one platform or all" {
	w build -q --platform "linux/$OWN,linux/$OTHER" --annotation a=all --annotation "manifest[linux/$OTHER]:b=other" \
		--annotation "manifest-descriptor[linux/$OTHER],index-descriptor:c=d" --annotation index:e=f -o type=oci,dest=noted,tar=false ctx
	blob() { cat "noted/blobs/sha256/${1#sha256:}"; }
	jq -e '.manifests[0].annotations.c == "d"' noted/index.json
	index=$(blob "$(jq -r '.manifests[0].digest' noted/index.json)")
	jq -e '.annotations == {"e": "f"} and ([.manifests[].annotations.c] == [null, "d"])' <<<"$index"
	[ "$(for d in $(jq -r '.manifests[].digest' <<<"$index"); do blob "$d" | jq -cS .annotations; done)" = '{"a":"all"}'$'\n''{"a":"all","b":"other"}' ]
	w build -q -t "$R/noted:1" --annotation a=b --push ctx
	manifest_of noted:1 | jq -e '.annotations == {"a": "b"} and .mediaType == "application/vnd.oci.image.manifest.v1+json" and (.config.mediaType | contains("oci"))'
	w build -q -t "$R/noted:2" --platform "linux/$OWN,linux/$OTHER" --annotation "manifest-descriptor[linux/$OTHER],index:c=d" --annotation "manifest[linux/$OWN]:own=1" --push ctx
	manifest_of noted:2 | jq -e '.annotations == {"c": "d"} and [.manifests[].annotations.c] == [null, "d"]'
	skopeo --override-arch "$OWN" inspect --raw --tls-verify=false "docker://$R/noted@$(manifest_of noted:2 | jq -r '.manifests[0].digest')" | jq -e '.annotations == {"own": "1"}'
	w rmi "$R/noted:2" "$R/noted:1"
	w pull -q "$R/noted:2"
	w rmi "$R/noted:2"
	run w build -q --annotation index:a=b -o type=oci,dest=noted.tar ctx
	[[ "$output" == *'index annotations not supported for single platform export'* ]]
	run w build -q --annotation 'manifest[linux/s390x]:a=b' -o type=oci,dest=noted.tar ctx
	[[ "$output" == *'invalid annotation: no platform linux/s390x found in source'* ]]
	run w build -q --annotation layer:a=b -o type=oci,dest=noted.tar ctx
	[[ "$output" == *'unknown annotation type "layer"'* ]]
}

@test "files and archives go to the client" {
	rm -rf files files.tar
	find_buildx || [ -x /usr/bin/docker ] || skip "no client of BuildKit's calls: neither buildx nor docker 20.10"
	if [ -x /usr/bin/docker ]; then
		DOCKER_BUILDKIT=1 /usr/bin/docker build -o files ctx >out 2>&1 || { cat out; false; }
		[ "$(cat files/arch)" = "I am $OWN" ] && cmp files/both ctx/both
		DOCKER_BUILDKIT=1 /usr/bin/docker build -o - ctx 2>out >files.tar || { cat out; false; }
		tar -xOf files.tar both | cmp - ctx/both
	fi
	find_buildx || skip "no buildx"
	rm -rf files
	bx --platform "linux/$OWN,linux/$OTHER" -o type=local,dest=files ctx || false
	[ "$(cat files/linux_"$OWN"/arch)" = "I am $OWN" ] && [ "$(cat files/linux_"$OTHER"/arch)" = "I am $OTHER" ]
	bx --platform "linux/$OWN,linux/$OTHER" -o type=tar,dest=files.tar ctx
	[ "$(tar -xOf files.tar linux_"$OTHER"/arch)" = "I am $OTHER" ]
	bx --platform "linux/$OWN,linux/$OTHER" --provenance=false -t oci:1 -o type=oci,dest=oci.tar --metadata-file meta.json ctx
	skopeo --insecure-policy --override-arch "$OTHER" copy -q oci-archive:oci.tar oci:from-oci:x
	umoci unpack --rootless --image from-oci:x from-oci-bundle
	[ "$(cat from-oci-bundle/rootfs/arch)" = "I am $OTHER" ]
	[ "$(jq -r '."containerimage.digest"' meta.json)" = "$(tar -xOf oci.tar index.json | jq -r '.manifests[0].digest')" ]
	bx --platform "linux/$OWN,linux/$OTHER" --provenance=false -t oci:1 -o type=oci,dest=oci2.tar ctx
	cmp oci.tar oci2.tar # what the cache has is not younger for it
	bx -o type=docker,dest=docker.tar,compression=gzip,annotation.org.example.a=b -t dock:1 ctx
	skopeo --insecure-policy copy -q docker-archive:docker.tar:dock:1 dir:dock
	w load -qi docker.tar && w image inspect dock:1 >/dev/null
	bx --platform "linux/$OWN,linux/$OTHER" --provenance=false -t twice:1 --iidfile iid ctx
	[ "$(w image inspect -f '{{.Architecture}}' "$(cat iid)")" = "$OWN" ]
	bx --provenance=false -t "$R/bx/one:1" --push ctx
	skopeo inspect --raw --tls-verify=false "docker://$R/bx/one:1" | jq -e .layers
	"$BUILDX" du | grep -q Reclaimable
	"$BUILDX" prune -af >pruned && grep -q '^Total:' pruned
}

forget_builds() { # IMAGE...: nothing of them stays here
	w rmi "$@" >/dev/null
	prune_cache '{}' all=true >/dev/null
}

blob_file() { # DIGEST: where the registry keeps it
	echo "$DIR/registry/docker/registry/v2/blobs/sha256/${1:7:2}/${1#*:}/data"
}

manifest_of() { # IMAGE
	skopeo inspect --raw --tls-verify=false "docker://$R/$1"
}

@test "classic: cachefrom names images that are here, and nothing else is taken" {
	mkdir -p from && echo one >from/one && echo two >from/two
	printf 'FROM scratch\nENV FOO=bar\nCOPY one /one\nCOPY two /two\n' >from/Dockerfile
	tar -C from -cf from.tar .
	post_build from.tar t=from:1
	post_build from.tar t=from:2 'cachefrom=["from:1"]'
	[ "$(grep -c 'Using cache' build.out)" = 3 ] || { cat build.out; false; } # as docker-py's test has it
	post_build from.tar t=from:2 "cachefrom=[\"nosuchtag\",\"$R/none/here:1\"]"
	! grep -q 'Using cache' build.out || { cat build.out; false; }
	post_build from.tar t=from:2 cachefrom=null
	[ "$(grep -c 'Using cache' build.out)" = 2 ] || { cat build.out; false; }
	forget_builds from:1 from:2
}

@test "a cache in a registry gives another engine its steps" {
	mkdir -p remote && cat >remote/Dockerfile <<-'END'
		FROM scratch AS tools
		COPY tool /tool
		FROM scratch
		COPY one /one
		COPY --from=tools /tool /two
		COPY three /three
	END
	local f n
	for f in tool one three; do head -c 40000 /dev/urandom >remote/$f; done
	local to="type=registry,ref=$R/steps/cache"
	w build -t remote:1 --cache-to "$to:min" --cache-to "$to:max,mode=max" remote >out 2>&1 || { cat out; false; }
	[ "$(manifest_of steps/cache:min | jq '.layers | length')" = 3 ]
	[ "$(manifest_of steps/cache:max | jq '.layers | length')" = 4 ]
	[ "$(manifest_of steps/cache:max | jq -r .config.mediaType)" = application/vnd.wherry.buildcache.v1+json ]
	layers=$(w image inspect -f '{{.RootFS.Layers}}' remote:1)
	run -1 w pull "$R/steps/cache:max"
	[[ "$output" == *"not a container image"* ]]

	forget_builds remote:1
	echo changed >remote/three
	# only what is needed is fetched: of the layer that has changed nobody sees the damage
	f=$(blob_file "$(manifest_of steps/cache:max | jq -r .config.digest)")
	n=$(jq --arg d "$(grep -o 'sha256:[0-9a-f]*' <<<"$layers" | sed -n 3p)" 'first(.entries[] | select(.diff_id == $d) | .layer)' "$f")
	truncate -s 10 "$(blob_file "$(manifest_of steps/cache:max | jq -r ".layers[$n].digest")")"
	w build --progress plain -t remote:2 --cache-from "$to:max" remote >out 2>&1 || { cat out; false; }
	[ "$(grep -c CACHED out)" = 3 ] && ! grep -q WARN out || { cat out; false; }
	[ "$(w image inspect -f '{{index .RootFS.Layers 1}}' remote:2)" = "$(grep -o 'sha256:[0-9a-f]*' <<<"$layers" | sed -n 2p)" ]
	forget_builds remote:2

	for f in $(manifest_of steps/cache:max | jq -r '.layers[].digest'); do
		head -c 100 /dev/urandom | dd of="$(blob_file "$f")" conv=notrunc status=none
	done
	w build --progress plain -t remote:4 --cache-from "$to:max" --cache-from "$to:none" remote >out 2>&1 || { cat out; false; }
	grep -q 'cache registry .*/cache:none is not read' out && grep -q 'cache registry .*/cache:max is not used' out || { cat out; false; }
	! grep -q CACHED out
	f=$(blob_file "$(manifest_of steps/cache:max | jq -r .config.digest)")
	sed -i 's/"layer"/"liyer"/' "$f"
	w build --progress plain -t remote:4 --cache-from "$to:max" remote >out 2>&1 || { cat out; false; }
	grep -q 'cache registry .*/cache:max is not read: .*verification' out || { cat out; false; }
	run -1 w build --cache-to "type=registry,ref=127.0.0.1:1/x" remote
	[[ "$output" == *"error writing the cache"* ]]
	w build --cache-to "type=registry,ref=127.0.0.1:1/x,ignore-error=true" remote >out 2>&1 && grep -q 'is not written' out
	forget_builds remote:4
}

# A daemon beside the test's own, as long as a subshell lives: DIR, SOCK and all else are its own there.
second_daemon() {
	DIR=$DIR/second TAG=${TAG}2 BRIDGE=wu$TAG
	SOCK=$DIR/wherry.sock
	WHERRY_HOST=unix://$SOCK
	mkdir "$DIR"
	echo '{}' >"$DIR/daemon.json"
	trap daemon_teardown EXIT
	daemon_start
}

@test "a daemon that has nothing takes its steps from the cache of another" {
	mkdir -p two && printf '%s\n' 'FROM bb AS tools' 'RUN date +%s.%N >/tool' 'FROM bb' 'COPY one /one' 'COPY --from=tools /tool /tool' 'RUN date +%s.%N >/when' \
		>two/Dockerfile
	head -c 40000 /dev/urandom >two/one
	local to="type=registry,ref=$R/two/cache:1" layers
	w build -t two:1 --cache-to "$to,mode=max" two >out 2>&1 || { cat out; false; }
	layers=$(w image inspect -f '{{.RootFS.Layers}}' two:1)
	w save bb -o bb-image.tar
	(
		second_daemon
		w load -qi bb-image.tar
		w build --progress plain -t two:1 --cache-from "$to" two >out 2>&1 || { cat out; false; }
		[ "$(grep -c CACHED out)" = 4 ] && ! grep -q WARN out || { cat out; false; }
		[ "$(w image inspect -f '{{.RootFS.Layers}}' two:1)" = "$layers" ]
		[ "$(w run --rm two:1 cat /one | cksum)" = "$(cksum <two/one)" ]
	)
	forget_builds two:1
}

@test "an image can carry the cache of its steps" {
	mkdir -p inline && printf 'FROM scratch\nCOPY one /one\nCOPY two /two\n' >inline/Dockerfile
	head -c 30000 /dev/urandom >inline/one
	head -c 30000 /dev/urandom >inline/two
	w build -t "$R/inline:1" --cache-to type=inline --push inline >out 2>&1 || { cat out; false; }
	forget_builds "$R/inline:1"
	w build --progress plain -t inline:2 --cache-from "$R/inline:1" inline >out 2>&1 || { cat out; false; }
	[ "$(grep -c CACHED out)" = 2 ] || { cat out; false; }
	w build --cache-from type=gha --cache-to type=gha inline >out 2>&1
	grep -q 'cache gha is not read' out && grep -q 'cache gha is not written' out
	forget_builds inline:2

	w pull -q "$R/inline:1" # the layers are here, what they are of is not
	for f in $(manifest_of inline:1 | jq -r '.layers[].digest'); do rm "$(blob_file "$f")"; done
	w build --progress plain -t inline:3 --cache-from "$R/inline:1" inline >out 2>&1 || { cat out; false; }
	[ "$(grep -c CACHED out)" = 2 ] && ! grep -q WARN out || { cat out; false; }
	forget_builds inline:3
	w tag "$R/inline:1" here-alone/inline:1 # of no registry that could be asked
	w build --progress plain -t inline:3 --cache-from here-alone/inline:1 inline >out 2>&1 || { cat out; false; }
	[ "$(grep -c CACHED out)" = 2 ] && ! grep -q WARN out || { cat out; false; }
	forget_builds inline:3 here-alone/inline:1 "$R/inline:1"
	find_buildx || return 0
	local ref="type=registry,ref=$R/inline/cache:1"
	bx --provenance=false -t inline:4 --cache-to "$ref,mode=max" inline >out || { cat out; false; }
	grep -q 'exporting cache to registry' out
	forget_builds inline:4
	bx --provenance=false -t inline:4 --cache-from "$ref" inline >out || { cat out; false; }
	[ "$(grep -c CACHED out)" = 2 ] && ! grep -qi warn out || { cat out; false; }
	forget_builds inline:4
}
