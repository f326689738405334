# image-signatures of daemon.json: what is pulled, created and built upon must be signed by the keys that the policy names.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	command -v docker-registry && command -v skopeo || {
		skip_all "docker-registry or skopeo is missing"
		return 0
	}
	export PORT MIRROR_PORT R KEYS
	PORT=$(free_port)
	R=127.0.0.1:$PORT
	daemon_setup
	KEYS=$DIR/keys
	cd "$DIR"
	mkdir keys
	for key in a b; do
		openssl ecparam -name prime256v1 -genkey -noout -out keys/$key.pem
	done
	openssl genrsa -out keys/rsa.pem 2048 2>/dev/null
	openssl genpkey -algorithm ED25519 -out keys/ed.pem
	openssl genrsa -out keys/short.pem 1024 2>/dev/null
	for key in a b rsa ed short; do
		openssl pkey -in keys/$key.pem -pubout -out keys/$key.pub
	done
	registry registry "$PORT"
	make_busybox
	python3 "$BATS_TEST_DIRNAME/image_archives.py" save --tag t:1 t.tar bb.tar
	mkdir small && echo 1 >small/one && tar -C small -cf one.tar one
	python3 "$BATS_TEST_DIRNAME/image_archives.py" save --tag t:1 u.tar bb.tar one.tar
	for name in app:1 app:2 apply:1 free:1; do
		push docker-archive:t.tar:t:1 "docker://$R/$name"
	done
	push docker-archive:u.tar:t:1 "docker://$R/other:1"
	# apps as one index of two platforms
	push --format oci docker-archive:t.tar:t:1 "docker://$R/index:amd"
	index
}

teardown_file() {
	for pid in "$DIR"/*registry.pid; do
		[ ! -e "$pid" ] || kill "$(cat "$pid")" || true
	done
	daemon_teardown
}

setup() {
	skip_if_all
	cd "$DIR"
	"$WHERRY" ps -aq | xargs -r "$WHERRY" rm -f >/dev/null
	for _ in 1 2 3; do # what was built goes before what it was built from
		"$WHERRY" images -aq | sort -u | xargs -r "$WHERRY" rmi -f >/dev/null 2>&1 || true
	done
	[ -z "$("$WHERRY" images -aq)" ]
	unsign
	policy "{\"repository\": \"$R/app*\", \"keys\": [\"$KEYS/a.pub\"]}"
}

registry() { # NAME PORT
	cat >"$1.yml" <<-END
		version: 0.1
		log: {level: error, accesslog: {disabled: true}}
		storage: {filesystem: {rootdirectory: $DIR/$1}, delete: {enabled: true}}
		http: {addr: "127.0.0.1:$2"}
	END
	docker-registry serve "$1.yml" >"$1.log" 2>&1 3>&- &
	echo $! >"$1.pid"
	eventually 10 curl -sf "http://127.0.0.1:$2/v2/"
}

push() {
	skopeo --insecure-policy copy -q --dest-tls-verify=false "$@"
}

digest() { # NAME TAG
	curl -sI -H 'Accept: application/vnd.oci.image.manifest.v1+json' -H 'Accept: application/vnd.oci.image.index.v1+json' \
		-H 'Accept: application/vnd.docker.distribution.manifest.v2+json' "http://$R/v2/$1/manifests/$2" |
		tr -d '\r' | sed -n 's/^Docker-Content-Digest: //Ip'
}

blob() { # DIGEST: its file in the registry
	echo "registry/docker/registry/v2/blobs/sha256/${1:7:2}/${1:7}/data"
}

index() {
	local d size
	d=$(digest index amd)
	size=$(curl -s -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://$R/v2/index/manifests/$d" | wc -c)
	curl -sf -X PUT -H 'Content-Type: application/vnd.oci.image.index.v1+json' "http://$R/v2/index/manifests/1" -d "{
		\"schemaVersion\": 2, \"mediaType\": \"application/vnd.oci.image.index.v1+json\", \"manifests\": [{
		\"mediaType\": \"application/vnd.oci.image.manifest.v1+json\", \"digest\": \"$d\", \"size\": $size}]}"
}

sign() { # NAME TAG KEY [OPTION...]
	local name=$1 tag=$2 key=$3
	shift 3
	python3 "$BATS_TEST_DIRNAME/cosign.py" "$R" "$name" "$(digest "$name" "$tag")" "keys/$key.pem" "$@"
}

# The registry caches nothing: a tag is a file there.
unsign() {
	rm -rf registry/docker/registry/v2/repositories/*/_manifests/tags/sha256-*.sig
}

# Rules become the daemon's; it has read them when it has said so.
policy() {
	echo "{\"image-signatures\": [$*], \"registry-mirrors\": [${MIRRORS:-}]}" >daemon.json
	reload
}

reload() {
	local before
	before=$(grep -c 'configuration_reloaded' daemon.log) || true
	kill -HUP "$(cat daemon.pid)"
	eventually 10 eval "[ \$(grep -c 'configuration_reloaded' daemon.log) -gt $before ]"
}

refused() { # TEXT COMMAND...: fails with the policy's words, the key's name and the text
	local text=$1
	shift
	run ! "$@"
	echo "$output"
	[[ "$output" == *"refused by the signature policy"* && "$output" == *"the key $KEYS/a.pub"* && "$output" == *"$text"* ]]
}

w() {
	"$WHERRY" "$@"
}

@test "only an image with a signature by the key is pulled, run and shown as such" {
	refused "it has no signature" w pull -q "$R/app:1"
	[ -z "$(w images -aq)" ]
	[ -z "$(ls data/layers | grep -E '^[0-9a-f]{24}')" ] # nothing of it was fetched
	refused "it has no signature" w run --rm "$R/app:1" true
	sign app 1 a
	[ "$(w run --rm "$R/app:1" echo yes 2>/dev/null)" = yes ]
	w image inspect "$R/app:1" --format '{{json .WherrySignatures}}' >shown
	grep -qF "\"Key\":\"$KEYS/a.pub\"" shown
	grep -qF "\"Reference\":\"$R/app@$(digest app 1)\"" shown
	w create "$R/app@$(digest app 1)" true
	w create "$(w images -q)" true
	# other repositories are nobody's business; nothing is shown that is not Docker's
	w pull -q "$R/free:1"
	w create "$R/free:1" true
	w pull -q "$R/other:1"
	w image inspect "$R/other:1" >shown
	run ! grep -q WherrySignatures shown
}

@test "all tags: signatures are no images, an unsigned tag ends it, an older signed image is signed" {
	sign app 1 a # and 2, which is the same
	push docker-archive:u.tar:t:1 "docker://$R/app:3"
	run ! w pull -a "$R/app"
	[[ "$output" == *"it has no signature"* ]]
	sign app 3 a
	w pull -a "$R/app" >out
	grep -q '^sha256-[0-9a-f]*\.sig: Skipped: no image$' out
	[ "$(w images --format '{{.Tag}}' "$R/app" | sort | tr '\n' ' ')" = "1 2 3 " ]
	# a tag may go back to what was signed before: a signature is of an image, not of its time
	w pull -q "$R/app:3"
	push docker-archive:t.tar:t:1 "docker://$R/app:3"
	w pull -q "$R/app:3"
	[ "$(w images -q "$R/app:3")" = "$(w images -q "$R/app:1")" ]
	rm -r registry/docker/registry/v2/repositories/app/_manifests/tags/3
}

@test "keys of every kind sign, one signature of several is enough" {
	for key in rsa ed; do
		policy "{\"repository\": \"$R/app\", \"keys\": [\"$KEYS/a.pub\", \"$KEYS/$key.pub\"]}"
		unsign
		sign app 1 b
		run ! w pull -q "$R/app:1"
		[[ "$output" == *"one of the keys $KEYS/a.pub, $KEYS/$key.pub, but it has 1 signature of others"* ]]
		sign app 1 $key --add
		w pull -q "$R/app:1"
		w create "$R/app:1" true
	done
	policy "{\"repository\": \"$R/app\", \"keys\": [\"$KEYS/short.pub\"]}"
	sign app 1 short
	run ! w pull -q "$R/app:1"
	[[ "$output" == *"the key $KEYS/short.pub cannot be used: "*"RSA key of 2048 bits"* ]]
}

@test "signatures that are wrong in one thing are no signatures" {
	sign app 1 b
	refused "it has 1 signature of others" w pull -q "$R/app:1"
	sign app 1 a --tamper
	refused "it has 1 signature of others" w pull -q "$R/app:1"
	sign app 1 a --claim "$(digest other 1)" # another image's, moved here
	refused "is for another image, $(digest other 1)" w pull -q "$R/app:1"
	sign app 1 a --reference "$R/other" # the same image, signed for another repository
	refused "is for the repository $R/other, not $R/app" w pull -q "$R/app:1"
	sign app 1 a --reference "$R/app:2"
	refused "is for the tag 2, not 1" w pull -q "$R/app:1"
	w pull -q "$R/app:2"
	w rmi -f "$R/app:2"
	sign app 1 a --type "atomic container signature"
	refused "invalid signed payload" w pull -q "$R/app:1"
	# a blob that is not what the manifest says, and one that is gone
	sign app 1 a
	manifest=$(blob "$(digest app "sha256-$(digest app 1 | cut -c8-).sig")")
	for blob in $manifest "$(blob "$(grep -o '"layers": .*' "$manifest" | grep -o 'sha256:[0-9a-f]*')")"; do
		cp "$blob" kept
		echo x >>"$blob"
		run ! w pull -q "$R/app:1"
		cp kept "$blob"
	done
	w pull -q "$R/app:1"
}

@test "an index or the image in it is signed" {
	policy "{\"repository\": \"$R/index\", \"keys\": [\"$KEYS/a.pub\"]}"
	refused "it has no signature" w pull -q "$R/index:1"
	sign index 1 a
	w pull -q "$R/index:1" && w create "$R/index:1" true
	unsign
	sign index amd a
	w pull -q "$R/index:1" && w create "$R/index:1" true
}

@test "an image that came another way is refused under a protected name" {
	sign app 1 a
	w pull -q "$R/app:1"
	w pull -q "$R/other:1"
	# the name moved to an image that nobody signed
	w tag "$R/other:1" "$R/app:1"
	refused "for $R/app" w create "$R/app:1" true
	refused "for $R/app" w create "$(w images -q "$R/app:1")" true # by its id, while it has that name
	w create "$R/other:1" true
	# and back by a pull
	w pull -q "$R/app:1"
	w create "$R/app:1" true
	# a signed image is signed in its own repository only
	w tag "$R/app:1" "$R/apply:1"
	refused "for $R/apply" w create "$R/apply:1" true
	# loaded, imported, built, committed
	python3 "$BATS_TEST_DIRNAME/image_archives.py" save --tag "$R/app:loaded" loaded.tar one.tar
	w load -q -i loaded.tar
	w import -q one.tar "$R/app:imported" || w import one.tar "$R/app:imported"
	mkdir -p made && printf 'FROM %s\nLABEL x=y\n' "$R/other:1" >made/Dockerfile
	w build -q -t "$R/app:built" made
	w commit "$(w ps -aq | head -1)" "$R/app:committed"
	for tag in loaded imported built committed; do
		refused "for $R/app" w create "$R/app:$tag" true
	done
}

@test "what a build is made from is signed" {
	mkdir -p from && printf 'FROM %s\nRUN true\n' "$R/app:1" >from/Dockerfile
	mkdir -p copy && printf 'FROM %s\nCOPY --from=%s /etc/passwd /p\n' "$R/free:1" "$R/app:1" >copy/Dockerfile
	w pull -q "$R/free:1"
	for dir in from copy; do
		refused "it has no signature" w build -q $dir
		w tag "$R/free:1" "$R/app:1"
		refused "for $R/app" w build -q $dir
		w rmi "$R/app:1"
	done
	sign app 1 a
	for dir in from copy; do
		w build -q -t made $dir
	done
	w create made true
}

@test "a key that is taken away takes its images along, also over a restart" {
	sign app 1 a
	w pull -q "$R/app:1"
	daemon_signal KILL
	daemon_start
	w create "$R/app:1" true
	policy "{\"repository\": \"$R/app*\", \"keys\": [\"$KEYS/b.pub\"]}"
	run ! w create "$R/app:1" true
	[[ "$output" == *"by the key $KEYS/b.pub"* ]]
	# the same key in another file is the same key
	cp keys/a.pub keys/copy.pub
	policy "{\"repository\": \"$R/app*\", \"keys\": [\"$KEYS/b.pub\", \"$KEYS/copy.pub\"]}"
	w create "$R/app:1" true
	# another key in the same file is another key
	cp keys/b.pub keys/copy.pub
	reload
	run ! w create "$R/app:1" true
	policy ""
	w create "$R/app:1" true
}

@test "a policy that is not enforced warns" {
	policy "{\"repository\": \"$R/app*\", \"keys\": [\"$KEYS/a.pub\"], \"enforce\": false}"
	run w pull "$R/app:1"
	[[ "$output" == *"WARNING: "*"must be signed by the key $KEYS/a.pub, but it has no signature"*"Downloaded newer image"* ]]
	w create "$R/app:1" true
	sign app 1 a
	run w pull "$R/app:1"
	[[ "$output" != *WARNING* ]]
	policy "{\"repository\": \"$R/app*\", \"keys\": [\"$KEYS/a.pub\"]}"
	w create "$R/app:1" true
}

@test "a registry that cannot be asked has signed nothing" {
	sign app 1 a
	blobs=registry/docker/registry/v2/repositories/app/_manifests/tags/sha256-*.sig
	chmod 000 $blobs/current/link
	echo broken >"$(echo $blobs)/current/link"
	refused "" w pull -q "$R/app:1"
	unsign
}

@test "copies in another registry are signed as what they were copied from" {
	MIRROR_PORT=$(free_port)
	export MIRROR=127.0.0.1:$MIRROR_PORT
	registry mirror-registry "$MIRROR_PORT"
	for name in library/app library/apple; do
		push docker-archive:t.tar:t:1 "docker://$MIRROR/$name:1"
	done
	d=$(R=$MIRROR digest library/app 1)
	# a mirror of Docker Hub: images are signed for the hub
	MIRRORS="\"http://$MIRROR\"" policy "{\"repository\": \"app*\", \"keys\": [\"$KEYS/a.pub\"]}"
	refused "no signature" w pull -q app:1
	python3 "$BATS_TEST_DIRNAME/cosign.py" "$MIRROR" library/app "$d" keys/a.pem --reference index.docker.io/library/app
	w pull -q app:1
	w create app:1 true
	# one under its own name, by signed-as
	policy "{\"repository\": \"$MIRROR/library/*\", \"keys\": [\"$KEYS/a.pub\"], \"signed-as\": \"docker.io/library/*\"}"
	w pull -q "$MIRROR/library/app:1"
	w create "$MIRROR/library/app:1" true
	python3 "$BATS_TEST_DIRNAME/cosign.py" "$MIRROR" library/apple "$d" keys/a.pem --reference docker.io/library/app
	refused "is for the repository docker.io/library/app, not docker.io/library/apple" w pull -q "$MIRROR/library/apple:1"
}

@test "a policy that cannot be read keeps the old one, and the daemon from starting" {
	for wrong in '{"repository": "x", "keys": []}' '{"repository": "x", "keys": ["/nowhere.pub"]}' '{"repository": "x"}' \
		"{\"repository\": \"x\", \"keys\": [\"$KEYS/a.pem\"]}" "{\"repository\": \"x:1\", \"keys\": [\"$KEYS/a.pub\"]}" \
		"{\"repository\": \"127.0.0.1*\", \"keys\": [\"$KEYS/a.pub\"]}" "{\"repository\": \"x\", \"keys\": [\"$KEYS/a.pub\"], \"enforced\": true}" \
		'7'; do
		echo "{\"image-signatures\": [$wrong]}" >wrong.json
		run -1 "$WHERRYD" --config-file "$DIR/wrong.json" --validate
		[[ "$output" == *image-signatures* ]]
	done
	before=$(grep -c configuration_not_reloaded daemon.log) || true
	cp wrong.json daemon.json
	kill -HUP "$(cat daemon.pid)"
	eventually 10 eval "[ \$(grep -c configuration_not_reloaded daemon.log) -gt $before ]"
	refused "it has no signature" w pull -q "$R/app:1"
}
