# `wherry build` as a client of BuildKit's API, against our own engine.
load lib.bash

w() { "$WHERRY" "$@"; }

setup_file() {
	daemon_setup
	busybox_image
}

teardown_file() {
	daemon_teardown
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkdir ctx
	unset BUILDKIT_PROGRESS
}

# The id of what a build makes of a Dockerfile on standard input in the context ctx.
dockerfile() {
	cat >ctx/Dockerfile
}

@test "a build is shown as buildx shows it, and again from the cache" {
	echo hi >ctx/a
	dockerfile <<-'EOF'
		FROM bb AS one
		COPY a /a
		FROM one
		RUN cat /a && echo two
	EOF
	w build -t shown ctx >out 2>text
	[ ! -s out ]
	grep -qx '#1 \[internal\] load build definition from Dockerfile' text
	grep -qxE '#[0-9]+ \[one 2/2\] COPY a /a' text
	grep -qxE '#[0-9]+ \[stage-1 [12]/[12]\] RUN cat /a && echo two' text
	grep -qxE '#[0-9]+ [0-9.]+ hi' text
	grep -qxE '#[0-9]+ [0-9.]+ two' text
	grep -qxE '#[0-9]+ DONE [0-9.]+s' text
	w run --rm shown cat /a | grep -qx hi
	w build ctx 2>text
	[ "$(grep -cxE '#[0-9]+ CACHED' text)" -ge 2 ]
	! grep -qE '^#[0-9]+ [0-9.]+ two' text
}

@test "a step that fails: its last lines, the Dockerfile around it, the error" {
	dockerfile <<-'EOF'
		FROM bb
		RUN echo fine
		RUN for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; done; exit 7
		RUN echo never
	EOF
	run w build ctx
	[ "$status" -eq 1 ]
	[[ "$output" == *$'\n > [3/4] RUN for i in'* ]]
	[[ "$output" == *$'\nDockerfile:3\n--------------------\n   1 |     FROM bb\n   2 |     RUN echo fine\n   3 | >>> RUN for i in'* ]]
	[[ "$output" == *'ERROR: failed to solve: '*'process "/bin/sh -c for i in '*' did not complete successfully: exit code: 7' ]]
	after=${output##*------$'\n' > }
	[[ "$after" != *"line 2"$'\n'* && "$after" == *"line 3"$'\n'*"line 12"$'\n'* ]]
}

@test "a Dockerfile that is wrong is shown with the place" {
	printf 'FROM bb\nCOPPY x /\n' >ctx/Dockerfile
	run w build ctx
	[ "$status" -eq 1 ]
	[[ "$output" == *$'   2 | >>> COPPY x /\n'* ]]
	[[ "$output" == *"unknown instruction: COPPY (did you mean COPY?)"* ]]
}

@test "-q prints the id, --iidfile and --metadata-file hold it" {
	dockerfile <<<"FROM bb"
	id=$(w build -q --iidfile id --metadata-file meta -t named:1 ctx)
	[[ "$id" =~ ^sha256:[0-9a-f]{64}$ ]]
	[ "$(cat id)" = "$id" ]
	[ "$(jq -r '."containerimage.config.digest"' meta)" = "$id" ]
	[ "$(w inspect -f '{{.Id}}' named:1)" = "$id" ]
}

@test "secrets, agent, arguments, hosts, labels reach the steps" {
	command -v ssh-agent >/dev/null || skip "no ssh-agent"
	eval "$(ssh-agent -a "$BATS_TEST_TMPDIR/agent")" >/dev/null
	echo from-file >secret
	dockerfile <<-'EOF'
		FROM bb
		ARG A
		ARG OWN
		RUN --mount=type=secret,id=f --mount=type=secret,id=VALUE --mount=type=ssh \
		    echo "A=$A OWN=$OWN $(cat /run/secrets/f) $(cat /run/secrets/VALUE)" && test -S "$SSH_AUTH_SOCK" && grep named /etc/hosts
	EOF
	OWN=mine VALUE=from-env w build --build-arg A=1 --build-arg OWN --secret id=f,src=secret --secret id=VALUE --ssh default \
		--add-host named:1.2.3.4 --label l=x -t fed ctx 2>text || { kill "$SSH_AGENT_PID"; cat text; false; }
	kill "$SSH_AGENT_PID"
	grep -qE '^#[0-9]+ [0-9.]+ A=1 OWN=mine from-file from-env$' text
	grep -qE '^#[0-9]+ [0-9.]+ 1.2.3.4.*named' text
	[ "$(w inspect -f '{{.Config.Labels.l}}' fed)" = x ]
	! w history --no-trunc fed | grep -q from-file
	printf 'FROM bb\nRUN --mount=type=secret,id=f,required cat /run/secrets/f\n' >ctx/Dockerfile
	run w build ctx
	[ "$status" -eq 1 ]
	[[ "$output" == *$'\nhint: give the secret to the build: '* ]]
}

@test "keys in files get an agent for the build, and it ends with it" {
	command -v ssh-agent >/dev/null || skip "no ssh-agent"
	ssh-keygen -q -t ed25519 -N '' -C one-of-two -f one
	ssh-keygen -q -t ecdsa -N '' -C two-of-two -f two
	mkdir -p ctx/tool
	cp "$(command -v ssh-add)" $(ldd "$(command -v ssh-add)" | grep -o '/[^ ]*') ctx/tool/
	dockerfile <<-'EOF'
		FROM bb
		COPY tool /tool
		RUN --mount=type=ssh,id=mine echo "agent=$SSH_AUTH_SOCK"; LD_LIBRARY_PATH=/tool /tool/ld-linux* /tool/ssh-add -l
	EOF
	TMPDIR=$BATS_TEST_TMPDIR w build --ssh mine=one,two ctx 2>text || fail "$(cat text)"
	grep -q 'one-of-two (ED25519)' text
	grep -q 'two-of-two (ECDSA)' text
	eventually 10 eval '! compgen -G "$BATS_TEST_TMPDIR/ssh-*"' # the agent's directory
	run w build --ssh mine=ctx/Dockerfile ctx
	[ "$status" -eq 1 ]
	[[ "$output" == *'ssh-add could not take ctx/Dockerfile'* ]]
}

@test "contexts and Dockerfiles come from standard input" {
	echo hi >ctx/a
	dockerfile <<-'EOF'
		FROM bb
		COPY a /a
	EOF
	tar -C ctx -c . | w build -q -t tar - >/dev/null
	tar -C ctx -cz . | w build -q -t tgz - >/dev/null
	w run --rm tar cat /a | grep -qx hi
	w run --rm tgz cat /a | grep -qx hi
	printf 'FROM bb\nRUN echo plain >/p\n' | w build -q -t plain - >/dev/null
	w run --rm plain cat /p | grep -qx plain
	printf 'FROM bb\nCOPY a /b\n' | w build -q -f - -t elsewhere ctx >/dev/null
	w run --rm elsewhere cat /b | grep -qx hi
}

@test "only what is asked for is sent; .dockerignore holds" {
	mkdir -p ctx/d ctx/e
	echo 1 >ctx/d/kept
	echo 2 >ctx/d/left
	echo 3 >ctx/e/not-asked
	chmod 0 ctx/e/not-asked
	printf 'd/*\n!d/kept\n' >ctx/.dockerignore
	dockerfile <<-'EOF'
		FROM bb
		COPY d /d
	EOF
	w build -q -t sent ctx >/dev/null
	[ "$(w run --rm sent ls /d)" = kept ]
}

@test "an interrupted build ends in the engine too, with status 130" {
	local number=$((RANDOM + 100000))
	printf 'FROM bb\nRUN sleep %s\n' $number >ctx/Dockerfile
	env --default-signal=INT "$WHERRY" build ctx >text 2>&1 &
	eventually 20 pgrep -f "sleep $number"
	kill -INT $!
	local code=0
	wait $! || code=$?
	[ "$code" -eq 130 ]
	grep -q 'context canceled' text
	eventually 20 not_running "sleep $number"
}

not_running() {
	! pgrep -f "$1"
}

@test "what an engine cannot do is refused before anything is sent" {
	dockerfile <<<"FROM bb"
	for flag in --squash "--security-opt x" "--sbom=true" "--cache-to type=local" "--secret id=x,src=nothing" "--progress=loud"; do
		run w build $flag ctx
		[ "$status" -ne 0 ]
	done
	run w build nowhere
	[ "$output" = 'ERROR: unable to prepare context: path "nowhere" not found' ]
}

@test "compose builds services together, with secrets and contexts" {
	mkdir web lib
	printf 'FROM bb\nRUN echo lib >/lib.txt\n' >lib/Dockerfile
	printf 'FROM base\nRUN --mount=type=secret,id=s cat /run/secrets/s /lib.txt >/both\n' >web/Dockerfile
	echo hush >s
	cat >compose.yaml <<-EOF
		name: built${TAG,,}
		services:
		  web: {build: {context: web, secrets: [s], additional_contexts: {base: service:lib}}}
		  lib: {build: lib}
		  inline: {build: {context: ., dockerfile_inline: "FROM bb"}}
		secrets: {s: {file: ./s}}
	EOF
	w compose build 2>text
	grep -qxE '#[0-9]+ \[web internal\] load build definition from Dockerfile' text
	[ "$(w run --rm "built${TAG,,}-web" cat /both | tr '\n' ' ')" = "hush lib " ]
	w inspect "built${TAG,,}-inline" >/dev/null
}

@test "several lines are redrawn on a terminal" {
	printf 'FROM bb\nRUN echo hello\n' >ctx/Dockerfile
	TERM=xterm script -qec "stty cols 60 rows 20; '$WHERRY' build --no-cache ctx" typescript >/dev/null
	grep -qa '(.*) FINISHED' typescript
	grep -qa ' => .*RUN echo hello' typescript
	[ "$(grep -ca $'\033\[?25h' typescript)" -ge 1 ]
}

@test "an image is written as an OCI layout, and so is a cache, in directories" {
	dockerfile <<-'EOF'
		FROM bb
		RUN echo once >>/once
	EOF
	w build -o type=oci,dest=layout,tar=false -t laid:1 ctx 2>text
	w build -o type=oci,dest=layout,tar=false -t laid:2 ctx 2>text
	[ "$(jq -c '[.manifests[].annotations."io.containerd.image.name"]' layout/index.json)" = '["docker.io/library/laid:1","docker.io/library/laid:2"]' ]
	for blob in layout/blobs/sha256/*; do sha256sum "$blob" | grep -q "^${blob##*/} "; done
	tar -C layout -cf layout.tar . && w load -qi layout.tar
	w run --rm laid:2 cat /once | grep -qx once
	w build -q --cache-to type=local,dest=cache,tag=t ctx >/dev/null 2>text
	w rmi laid:1 laid:2 && w image prune -f && w builder prune -af >/dev/null
	w build --cache-from type=local,src=cache,tag=t ctx 2>text
	grep -qxE '#[0-9]+ importing cache manifest from local:cache' text
	grep -qxE '#[0-9]+ CACHED' text
	w build --cache-from type=local,src=nowhere ctx 2>text
	grep -q 'local cache import at nowhere skipped' text
	blob=cache/blobs/sha256/$(jq -r '.manifests[0].digest' cache/index.json | cut -d: -f2)
	sed -i 's/entries/entrees/;s/layers/layerz/' "$blob" # its digest is not that of its name
	w build --cache-from type=local,src=cache,tag=t ctx 2>text
	grep -q 'cache local cache is not read: ' text
}

@test "a named context is an image in an OCI layout, also when the engine has nothing of it" {
	echo base >ctx/f
	dockerfile <<-'EOF'
		FROM scratch
		COPY f /f
	EOF
	w build -q -o type=oci,dest=layout,tar=false -t based:1 ctx >/dev/null
	w builder prune -af >/dev/null && w image prune -f >/dev/null
	mkdir other
	printf 'FROM base AS x\nCOPY --from=base /f /g\nFROM base\nCOPY --from=x /g /h\n' >other/Dockerfile
	w build -q --build-context base=oci-layout://layout:1 -t "onlayout" other >/dev/null
	w save "onlayout" | tar -xOf - manifest.json | jq -e '.[0].Layers | length == 2'
	w rmi "onlayout" >/dev/null && w builder prune -af >/dev/null && w image prune -f >/dev/null
	manifest=layout/blobs/sha256/$(jq -r '.manifests[0].digest' layout/index.json | cut -d: -f2)
	layer=layout/blobs/sha256/$(jq -r '.layers[0].digest' "$manifest" | cut -d: -f2)
	sed -i 's/base/BASE/' "$layer" # its digest is not that of its name
	run w build --build-context base=oci-layout://layout:1 other
	[ "$status" -eq 1 ]
	[[ "$output" == *"the named context of the client: "* ]]
	run w build --build-context base=oci-layout://layout:2 other
	[[ "$output" == *"failed to get build context base: nothing in its index.json is named 2"* ]]
}

@test "--check says what is wrong with a Dockerfile and builds nothing" {
	printf 'FROM bb AS Foo\nRUN exit 3\n' >ctx/Dockerfile
	run w build --check ctx
	[ "$status" -eq 1 ]
	[[ "$output" == *"StageNameCasing"*"   1 | >>> FROM bb AS Foo"* ]]
	printf 'FROM bb\nRUN exit 3\n' >ctx/Dockerfile
	run w build --check ctx
	[ "$status" -eq 0 ]
	[ "$output" = "Check complete, no warnings found." ]
	run w build --call=nosuch ctx
	[ "$output" = "ERROR: --call=nosuch is not supported: only build, check, outline and targets are" ]
}

@test "--call=targets and --call=outline say what a Dockerfile offers" {
	dockerfile <<-'EOF'
		# BASE the image below
		ARG BASE=bb
		# tools what builds need
		FROM $BASE AS tools
		ARG V=1
		RUN --mount=type=secret,id=tok,required true
		FROM nosuch AS other
		ARG UNUSED
		# web serves
		FROM tools AS web
		RUN --mount=type=ssh exit 3
	EOF
	w build --call=targets ctx >out
	diff out - <<-'EOF'
		TARGET        DESCRIPTION
		tools         what builds need
		other         
		web (default) serves
	EOF
	w build --call=outline --build-arg V=2 ctx >out
	diff out - <<-'EOF'
		TARGET:      web
		DESCRIPTION: serves

		BUILD ARG   VALUE   DESCRIPTION
		BASE        bb      the image below
		V           2       

		SECRET   REQUIRED
		tok      true

		SSH       REQUIRED
		default   

	EOF
	[ "$(w build --call=outline,format=json --target tools ctx | jq -c '[.name,[.args[].location.ranges[0].start.line],.ssh]')" = '["tools",[2,5],null]' ]
}

@test "the builder is shown and cleaned by the words of buildx" {
	w buildx ls | grep -q 'running.*linux/'
	w buildx inspect | grep -qx 'Driver: docker'
	w buildx du | grep -q '^Total:'
	w builder prune -af | grep -q '^Total reclaimed space: '
}
@test "named contexts are directories and images" {
	mkdir other
	echo other >other/o
	printf 'FROM bb\nCOPY --from=x o /\nCOPY --from=img /etc/passwd /q\n' |
		w build -q -f - --build-context x=other --build-context img=docker-image://bb -t elsewhere ctx >/dev/null
	w run --rm elsewhere cat /o /q | head -1 | grep -qx other
}

@test "results come to a directory, a tar and standard output" {
	dockerfile <<-'EOF'
		FROM bb AS make
		RUN mkdir -p /out/d && echo made >/out/d/f && ln -s f /out/d/l && chmod 750 /out/d
		FROM scratch
		COPY --from=make /out /
	EOF
	w build -o out ctx 2>text
	[ "$(cat out/d/f)" = made ]
	[ "$(readlink out/d/l)" = f ]
	[ "$(stat -c %a out/d)" = 750 ]
	w build -o type=tar,dest=out.tar ctx 2>text
	[ "$(tar -xOf out.tar d/f)" = made ]
	[ "$(w build -q -o - ctx | tar -xOf - d/f)" = made ]
	[ -z "$(find . -name '*.part')" ]
}

