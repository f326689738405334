# wherry compose, command by command: words, exit status, which stream. What docker compose 2.40.3 answers stands in the tests.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	daemon_setup
	busybox_image
}

teardown_file() {
	daemon_teardown
}

setup() {
	P=$DIR/p
	rm -rf "$P"
	mkdir -p "$P"
	cd "$P" || return 1
	cat >compose.yaml <<-'YAML'
		services:
		  a:
		    image: bb
		    command: sh -c "echo hello; exec sleep 1000"
		    init: true
		  b:
		    image: bb
		    command: sleep 1000
		    init: true
		    depends_on: [a]
	YAML
}

teardown() {
	cd "$P" && "$WHERRY" compose --profile '*' down -v -t 0 --remove-orphans >/dev/null 2>&1 || true
}

c() {
	"$WHERRY" compose "$@"
}

# refused TEXT WORD...: status 1 and that sentence alone
refused() {
	local text=$1
	shift
	run --separate-stderr c "$@"
	[ "$status" -eq 1 ] && [ "$stderr" = "$text" ] && [ -z "$output" ]
}

is_exited() {
	[ "$("$WHERRY" inspect --format '{{.State.Status}}' "p-$1-1")" = exited ]
}

@test "wrong words are answered as docker compose answers them" {
	refused 'unknown flag: --bogus' up --bogus
	refused "unknown shorthand flag: 'Z' in -Z" stop -Z
	refused 'requires at least 2 arg(s), only received 1' exec a
	refused 'unknown command "x" for "wherry compose ls"' ls x
	refused 'unsupported --progress value "x"' --progress x ps
	refused "can't use --progress tty while ANSI support is disabled" --ansi never --progress tty ps
	refused 'COMPOSE_PARALLEL_LIMIT must be an integer (found: "many")' --env-file <(echo COMPOSE_PARALLEL_LIMIT=many) ps
	run c bogus
	[ "$status" -eq 1 ]
	[[ "$output" == *'unknown docker command: "compose bogus"' ]]
	[[ "$(c version --short)" =~ ^2\.[0-9]+\.[0-9]+\+wherry ]]
	[[ "$(c version -f json)" == '{"version":"2.'*'"}' ]]
}

@test "attach, commit, export choose a container of a service" {
	refused 'service "a" is not running' attach a
	refused 'service "a" is not running container #3' export --index 3 -o x a
	c up -d
	c commit -m said -c 'ENV MADE=here' a made:1
	[ "$("$WHERRY" image inspect --format '{{.Comment}} {{.Config.Env}}' made:1)" = "said [MADE=here]" ]
	"$WHERRY" rmi made:1
	c export a | tar t | grep -qx bin/busybox
	c exec -T a sh -c 'echo x >/tmp/x'
	c export -o a.tar a
	[ "$(tar xOf a.tar tmp/x)" = x ]
	# sh was replaced by sleep, whose end is the container's
	c attach --no-stdin a >attached 2>&1 &
	eventually 5 grep -qE "path=/containers/[0-9a-f]+/attach" "$DIR/daemon.log"
	c kill -s TERM a
	wait $! || [ $? -eq 143 ]
}

@test "scale counts services up and down" {
	refused 'invalid scale specifier: a' scale a
	refused 'no such service: x' scale x=2
	c scale --no-deps b=2
	[ "$(c ps -q b | wc -l)" -eq 2 ]
	[ -z "$(c ps -aq a)" ]
	c scale b=1 a=2
	[ "$(c ps --services | sort | tr '\n' ' ')" = "a b " ]
	[ "$(c ps -q | wc -l)" -eq 3 ]
}

@test "wait tells who ended and how, and takes the project away" {
	cat >compose.yaml <<-'YAML'
		services:
		  job:
		    image: bb
		    command: sh -c "while [ ! -e /go ]; do sleep 0.1; done; exit 7"
	YAML
	refused 'no containers for project "p"' wait job
	c up -d
	local id
	id=$(c ps -q --no-trunc job)
	c wait --down-project job >said 2>err &
	eventually 5 grep -q "path=/containers/$id/wait" "$DIR/daemon.log"
	c exec job touch /go
	local rc=0
	wait $! || rc=$?
	[ "$rc" -eq 7 ]
	[ "$(cat said)" = "container \"$id\" exited with status code 7" ]
	[ -z "$(c ps -aq)" ]
}

@test "events of a project, without the labels" {
	local begun
	begun=$(date +%s.%N)
	c up -d a
	c run --rm -T b true
	c events --since "$begun" --until 0s --json >events
	[ "$(python3 -c 'import json,sys; print([(e["service"], e["action"], sorted(e["attributes"])) for e in map(json.loads, sys.stdin)])' <events)" = \
		"[('a', 'create', ['image', 'name']), ('a', 'start', ['image', 'name'])]" ]
	c events --since "$begun" --until 0s a | grep -qE '^[-0-9]{10} [0-9:]{8}\.[0-9]{6} container start [0-9a-f]{64} \(.*name=p-a-1'
	[ -z "$(c events --since "$begun" --until 0s b)" ]
	# what a label says does not command the terminal
	"$WHERRY" create --name p-x-1 --label com.docker.compose.project=p --label com.docker.compose.service=x --label $'n=a\e[2Jb' bb true
	c events --since "$begun" --until 0s | grep -qF 'n=a [2Jb'
	"$WHERRY" create --name zz --label $'com.docker.compose.project=q\e[2J' --label $'com.docker.compose.service=y\e[2J' \
		--label com.docker.compose.config-hash=1 bb true
	c ls -aq | grep -qxF 'q [2J'
	"$WHERRY" create --name p-y-1 --label com.docker.compose.project=p --label $'com.docker.compose.service=y\e[2J' bb true
	[ "$(c ps -a --orphans --services | tail -1)" = "y [2J" ]
	"$WHERRY" rm zz
}

@test "volumes of a project and of its services" {
	cat >compose.yaml <<-'YAML'
		services:
		  a: {image: bb, command: sleep 1000, init: true, volumes: ["one:/x"]}
		  b: {image: bb, command: sleep 1000, init: true, volumes: ["two:/x"]}
		volumes: {one: , two: }
	YAML
	c up -d
	[ "$(c volumes -q | tr '\n' ' ')" = "p_one p_two " ]
	[ "$(c volumes -q b)" = p_two ]
	[ "$(c volumes --format '{{.Driver}} {{.Name}}' a)" = "local p_one" ]
	refused 'no such service: x' volumes x
}

@test "pull and push skip what is not theirs" {
	cat >compose.yaml <<-'YAML'
		services:
		  a: {image: bb, pull_policy: never}
		  b: {image: "bb:fixed", pull_policy: missing}
		  d: {build: .}
		  e: {image: "127.0.0.1:1/none"}
		  f: {image: "127.0.0.1:1/none"}
	YAML
	"$WHERRY" tag bb bb:fixed
	run c pull
	[ "$status" -eq 1 ]
	[[ "$output" == *" a Skipped "* && "$output" == *" b Skipped - Image is already present locally "* ]]
	[[ "$output" == *" d Skipped - No image to be pulled "*" e Pulling "*" e Error "* ]]
	c pull --ignore-pull-failures 2>&1 | grep -qx ' f Skipped - Image is already being pulled by e '
	"$WHERRY" rmi bb:fixed
	[ "$(c push 2>&1 | head -1)" = " a Skipped " ]
}

# A registry that answers for no image before it was asked for two of them, and takes every upload.
two_at_once() { # PORT
	python3 - "$1" >registry.log 2>&1 3>&- <<-'PYTHON' &
		import http.server, os, sys, threading
		both, seen, lock = threading.Barrier(2), set(), threading.Lock()
		class Registry(http.server.BaseHTTPRequestHandler):
		    def do_GET(self):
		        name = self.path.split("/")[2] if self.path.count("/") > 2 else ""
		        with lock:
		            first = name and name not in seen
		            seen.add(name)
		        if first:
		            both.wait(200)
		            # one write: print() makes two, and the other thread's may come between them
		            os.write(1, b"together\n")
		        status = 202 if self.command in ("POST", "PATCH") else 201 if self.command == "PUT" else 404 if name else 200
		        self.rfile.read(int(self.headers.get("Content-Length", 0)))
		        self.send_response(status)
		        self.send_header("Content-Length", "0")
		        if status == 202:
		            self.send_header("Location", "/v2/" + name + "/blobs/uploads/1")
		        self.end_headers()
		    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET
		http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Registry).serve_forever()
	PYTHON
	REGISTRY=$!
	eventually 10 curl -s -o /dev/null "http://127.0.0.1:$1/v2/"
}

@test "images are pulled and pushed at the same time; what cannot be pulled is built" {
	local port
	port=$(free_port)
	cat >compose.yaml <<-YAML
		services:
		  e: {image: "127.0.0.1:$port/e"}
		  f: {image: "127.0.0.1:$port/f"}
		  g: {image: "127.0.0.1:1/g", build: {dockerfile_inline: "FROM bb"}, command: "true"}
		  h: {build: {dockerfile_inline: "FROM bb", tags: ["127.0.0.1:$port/h2"]}, image: "127.0.0.1:$port/h"}
	YAML
	two_at_once "$port"
	run c pull --ignore-pull-failures e f
	[ "$status" -eq 0 ]
	[ "$(grep -c together registry.log)" -eq 2 ]
	[[ "$output" == *" e Error "* && "$output" == *" f Error "* ]]
	kill $REGISTRY
	wait $REGISTRY || true
	run c up -d g
	[ "$status" -eq 0 ]
	[[ "$output" == *" g Warning "*" Container p-g-1  Started"* ]]
	c build h
	two_at_once "$port"
	run c push --ignore-push-failures h
	[ "$status" -eq 0 ]
	[ "$(grep -c together registry.log)" -eq 2 ]
	kill $REGISTRY
	c down -t 0 --rmi all 2>&1 | grep -q "Image 127.0.0.1:1/g:latest  Removed"
	"$WHERRY" image inspect bb >/dev/null
	"$WHERRY" rmi "127.0.0.1:$port/h2" >/dev/null
}

@test "ps, ls, images, top, port, logs print what docker compose prints" {
	local port
	port=$(free_port)
	cat >compose.yaml <<-YAML
		services:
		  a: {image: bb, command: sleep 1000, init: true, ports: ["127.0.0.1:$port:80"], volumes: ["/anon"]}
		  b:
		    image: bb
		    command: sh -c "echo out; echo err >&2; exit 3"
	YAML
	c up -d
	c wait b >/dev/null 2>&1 || true # it may have ended
	eventually 5 is_exited b
	[ "$(c ps --format '{{.Name}} {{.Service}} {{.State}} {{.ExitCode}} {{.Ports}} {{.LocalVolumes}} {{.Networks}}' -a)" = "p-a-1 a running 0 127.0.0.1:$port->80/tcp 1 p_default
p-b-1 b exited 3  0 p_default" ]
	[ "$(c ps --filter status=exited --services)" = b ]
	[ "$(c ps --status running -q)" = "$("$WHERRY" ps -q --no-trunc)" ]
	refused 'unknown filter x' ps --filter x=y
	refused 'arguments to --filter should be in form KEY=VAL' ps --filter x
	c ps -a --format json | python3 -c '
import json, sys
a, b = map(json.loads, sys.stdin)
assert list(a) == sorted(a) and set(a) >= {"CreatedAt", "Health", "LocalVolumes", "Mounts", "Networks", "Publishers", "Size"}
assert a["Publishers"] == [{"URL": "127.0.0.1", "TargetPort": 80, "PublishedPort": int(sys.argv[1]), "Protocol": "tcp"}]
assert len(a["ID"]) == 12 and b["ExitCode"] == 3 and b["State"] == "exited"' "$port"
	[ "$(c port a 80)" = "127.0.0.1:$port" ]
	refused "no port 81/tcp for container p-a-1: $port/tcp" port a 81
	refused 'service "b" is not running' port b 80
	refused 'strconv.ParseUint: parsing "x": invalid syntax' port a x
	[ "$(c ls -a --format json --filter name=^p)" = "[{\"Name\":\"p\",\"Status\":\"exited(1), running(1)\",\"ConfigFiles\":\"$P/compose.yaml\"}]" ]
	[ "$(c ls -q)" = p ]
	refused "invalid filter 'x'" ls --filter x=y
	[ "$(c images | awk 'NR == 1 || NR == 3 { print $1, $2, $3, $4 }' | tr '\n' ';')" = "CONTAINER REPOSITORY TAG PLATFORM;p-b-1 bb latest linux/$(dpkg --print-architecture);" ]
	[ "$(c images -q | wc -l)" -eq 1 ]
	[ "$(c top | awk '{ print $1, $2, $NF }' | sort -u | head -2 | tr '\n' ';')" = "SERVICE # CMD;a 1 1000;" ]
	run --separate-stderr c logs
	[ "$(sort <<<"$output")" = "b-1  | err
b-1  | out" ]
	[ "$(c logs --no-log-prefix -n 1 b 2>/dev/null | wc -l)" -eq 1 ]
	refused '--index requires one service to be selected' logs --index 1
	refused 'service "b" is not running container #3' logs --index 3 b
}

@test "logs -f shows who starts meanwhile and ends when nobody runs" {
	c up -d a
	c logs -f >said 2>&1 &
	eventually 5 grep -q hello said
	c up -d b
	c exec -T b sh -c 'echo from-b >/proc/1/fd/1'
	eventually 5 grep -qE '^b-1 +\| from-b$' said
	c kill >/dev/null
	wait $!
	grep -q 'b-1 exited with code 137' said
}

# interrupted COMMAND...: TERM when it has printed TEXT; $rc, said, err
interrupted() {
	local text=$1
	shift
	: >said
	: >err
	rm -f said err # those of the last one: a shell that is not the program yet loses the signal
	"$WHERRY" compose "$@" >said 2>err 3>&- &
	eventually 10 grep -q "$text" said err
	kill -TERM $!
	rc=0
	wait $! || rc=$?
}

@test "an interrupt ends a command with 130, and an attached up stops what it has started" {
	cat >compose.yaml <<-'YAML'
		services:
		  a: {image: bb, command: sh -c "echo hello; exec sleep 1000", init: true, healthcheck: {test: "false", interval: 1h}}
		  b: {image: bb, command: sleep 1000, init: true, depends_on: {a: {condition: service_healthy}}}
	YAML
	interrupted 'p-a-1  Waiting' up -d
	[ "$rc" -eq 130 ]
	[ "$(tail -1 err)" = canceled ]
	[ "$(c ps -a --format '{{.Name}} {{.State}}' | tr '\n' ' ')" = "p-a-1 running p-b-1 created " ]
	interrupted hello logs -f a
	[ "$rc" -eq 130 ]
	[ ! -s err ]
	c stop -t 0 a
	interrupted hello up -t 0
	[ "$rc" -eq 130 ]
	grep -q 'Gracefully Stopping' said
	[ "$(c ps -a --format '{{.Name}} {{.State}}' | tr '\n' ' ')" = "p-a-1 exited p-b-1 created " ]
}

@test "commands at a terminal" {
	cat >compose.yaml <<-'YAML'
		services:
		  a: {image: bb, command: sh, init: true, tty: true, stdin_open: true}
		  never: {image: bb, command: sleep 1000, init: true, healthcheck: {test: "false", interval: 1h}}
		  waits: {image: bb, command: sleep 1000, init: true, depends_on: {never: {condition: service_healthy}}}
	YAML
	python3 "$ROOT/tests/integration/compose_terminal.py" "$WHERRY" "unix://$SOCK"
}

@test "what an up refuses or fails for, in docker compose's words" {
	local port
	port=$(free_port)
	cat >compose.yaml <<-YAML
		services:
		  s: {image: bb, command: sleep 1000, init: true, secrets: [ext]}
		  c: {image: bb, command: sleep 1000, init: true, configs: [ext]}
		  n: {image: bb, command: sleep 1000, init: true, container_name: fixed-name}
		  p1: {image: bb, command: sleep 1000, init: true, ports: ["127.0.0.1:$port:80"]}
		  p2: {image: bb, command: sleep 1000, init: true, ports: ["127.0.0.1:$port:80"]}
		  sick: {image: bb, command: sleep 1000, init: true, healthcheck: {test: "false", interval: 200ms, retries: 1}}
		  ends: {image: bb, command: sh -c "exit 3"}
		  fine: {image: bb, command: "true"}
		secrets: {ext: {external: true}}
		configs: {ext: {external: true}}
	YAML
	refused "compose.yaml:2:61: unsupported external secret ext" up -d s
	refused "compose.yaml:3:61: unsupported external config ext" up -d c
	refused 'WARNING: The "n" service is using the custom container name "fixed-name". Docker requires each container to have a unique name. Remove the custom name to scale the service' scale n=2
	[ -z "$("$WHERRY" ps -aq)$("$WHERRY" network ls -q --filter name=p_)" ]
	c up -d p1
	run c up -d p2
	[ "$status" -eq 1 ]
	[[ "$output" == *"Bind for 127.0.0.1:$port failed: port is already allocated"* ]]
	run c up -d --wait sick
	[ "$status" -eq 1 ]
	[[ "$output" == *"container p-sick-1 is unhealthy" ]]
	run --separate-stderr c up --abort-on-container-failure fine p1 ends
	[ "$status" -eq 3 ]
	[[ "$output" == *"Attaching to ends-1, fine-1, p1-1"* && "$stderr" == *"Aborting on container exit..."* ]]
	is_exited p1
	run c up --abort-on-container-failure fine
	[ "$status" -eq 0 ]
	run c up --exit-code-from ends p1 ends
	[ "$status" -eq 3 ]
}

@test "cp says what it copies; down leaves what is not meant; --all-resources" {
	cat >compose.yaml <<-'YAML'
		services:
		  a: {image: bb, command: sleep 1000, init: true, networks: [one], volumes: ["used:/u"]}
		  b: {image: bb, command: sleep 1000, init: true, networks: [two]}
		  t: {image: bb, command: sleep 1000, init: true, profiles: [tools], networks: [two]}
		networks: {one: , two: , three: }
		volumes: {used: , unused: }
	YAML
	c --profile tools up -d
	echo text >f
	run c cp f a:/tmp/g
	[ "$output" = " p-a-1 copy f to p-a-1:/tmp/g Copying
 p-a-1 copy f to p-a-1:/tmp/g Copied" ]
	c --dry-run cp f a:/tmp/h
	[ "$(c exec -T a sh -c 'cat /tmp/*')" = text ]
	run c down -t 0 -v a # with what only it uses
	[[ "$output" == *"Network p_one  Removed"* && "$output" == *"Volume p_used  Removed"* && "$output" != *p_two* ]]
	run c down -t 0 --remove-orphans
	[[ "$output" == *"Container p-b-1  Removed"* && "$output" != *p-t-1* && "$output" == *"Network p_two  Resource is still in use"* ]]
	c --profile tools down -t 0
	[ "$(c --all-resources config --format json | jq -c '[.networks, .volumes] | map(keys)')" = '[["one","three","two"],["unused","used"]]' ]
	c --all-resources create
	[ "$("$WHERRY" network ls --filter label=com.docker.compose.project=p --format '{{.Name}}' | sort | tr '\n' ' ')" = "p_one p_three p_two " ]
	[ "$("$WHERRY" volume ls -q --filter label=com.docker.compose.project=p | sort | tr '\n' ' ')" = "p_unused p_used " ]
}

# ids of the containers, to see whether they are the same
ids() {
	"$WHERRY" ps -aq --no-trunc | sort
}

@test "kill, rm, restart, pause: words, who is meant, and dry runs that do nothing" {
	cat >compose.yaml <<-'YAML'
		services:
		  a: {image: bb, command: sleep 1000, init: true}
		  b: {image: bb, command: sleep 1000, init: true, depends_on: {a: {condition: service_started, restart: true}}}
		  z: {image: bb, command: sleep 1000, init: true, depends_on: [a]}
	YAML
	run --separate-stderr c kill
	[ "$status" -eq 0 ] && [ "$stderr" = 'no container to kill' ]
	refused 'service "a" has no container to start' start
	c up -d
	run --separate-stderr c pause z
	[ "$stderr" = "Container p-z-1  Paused" ] # bats takes the first blank
	run --separate-stderr c unpause
	[ "$status" -eq 1 ] # a does not rest
	before=$(ids)
	run --separate-stderr c --dry-run kill a
	[ "$stderr" = "DRY-RUN MODE -  Container p-a-1  Killing
 DRY-RUN MODE -  Container p-a-1  Killed" ]
	[ "$(c ps -q | wc -l)" -eq 3 ]
	# a dependent goes with it where the file says so
	run --separate-stderr c restart -t 0 a
	[[ "$stderr" == *p-a-1*Started*p-b-1*Started* && "$stderr" != *p-z* ]]
	run --separate-stderr c restart -t 0 --no-deps a
	[ "$(wc -l <<<"$stderr")" -eq 2 ]
	[ "$before" = "$(ids)" ]
	run --separate-stderr c rm
	[ "$stderr" = 'No stopped containers' ]
	c stop -t 0 z
	run --separate-stderr c rm <<<n
	[ "$output" = 'Going to remove p-z-1' ]
	[ "$(ids | wc -l)" -eq 3 ]
	run --separate-stderr c rm -f
	[ "$output" = 'Going to remove p-z-1' ]
	c rm -fs b
	[ "$(c ps -a --services)" = a ]
	refused 'no such service: x' rm x
	# of services that the file does not have only when asked
	sed -i '/^  a:/d; s/, depends_on.*}/}/' compose.yaml
	run c kill
	[ "$output" = 'no container to kill' ]
	COMPOSE_REMOVE_ORPHANS=1 c kill 2>&1 | grep -q p-a-1
}

@test "up's flags: whose output, what excludes what, orphans" {
	refused 'cannot attach to services not included in up: x' up --attach x
	refused 'cannot combine --attach and --attach-dependencies' up --attach a --attach-dependencies
	refused '--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach, --attach-dependencies or --watch' up -d --attach a
	refused '--no-recreate and --renew-anon-volumes are incompatible' up -V --no-recreate
	refused 'invalid --pull option "x"' create --pull x
	refused 'invalid --scale option "a". Should be SERVICE=NUM' up --scale a
	COMPOSE_IGNORE_ORPHANS=1 refused 'cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans' up --remove-orphans
	cat >compose.yaml <<-'YAML'
		services:
		  dep: {image: bb, command: echo of-dep}
		  one: {image: bb, command: echo of-one, depends_on: {dep: {condition: service_completed_successfully}}}
		  two: {image: bb, command: echo of-two}
	YAML
	c up one >out 2>/dev/null
	grep -q of-one out
	run ! grep -q of-dep out
	c up --attach-dependencies one >out 2>/dev/null
	grep -q of-dep out
	c up --no-attach two --no-attach dep >out 2>/dev/null
	grep -q of-one out
	run ! grep -q of-two out
	c create --scale one=2 -y
	[ "$(c ps -aq one | wc -l)" -eq 2 ]
	sed -i '/^  two/d' compose.yaml
	c create 2>&1 | grep -qE '^time="[-0-9T:Z+]+" level=warning msg="Found orphan containers \(\[p-two-1\]\)'
	[ -z "$(COMPOSE_IGNORE_ORPHANS=1 c create 2>&1 | grep orphan)" ]
	COMPOSE_REMOVE_ORPHANS=1 c up -d
	[ -z "$("$WHERRY" ps -aq --filter name=p-two)" ]
}

@test "run: every flag reaches the container" {
	cat >compose.yaml <<-'YAML'
		services:
		  a:
		    image: bb
		    command: sleep 1000
		    environment: {A: "1", B: "2"}
		    labels: {x: "y", keep: me}
		    cap_add: [NET_ADMIN]
		    restart: always
		    ports: ["80"]
		    networks: {default: {aliases: [ali]}}
		    depends_on: [h]
		  h: {image: bb, command: sleep 1000, init: true, volumes: ["data:/d"]}
		volumes: {data: }
	YAML
	printf 'B=file\nC=more\n' >env
	refused '--service-ports and --publish are incompatible' run -P -p 1:1 a true
	refused 'label must be set as KEY=VALUE' run --no-deps -l x a true
	A=here c run -d -T --no-deps --name one -e A -e NOT_SET -e B=flag --env-from-file env -l x=z -l n=1 -u 1:2 -w /tmp \
		--cap-add SYS_TIME --cap-drop NET_ADMIN -v ./env:/env -v data:/data:ro -p 127.0.0.1::90 a sleep 1000
	[ "$("$WHERRY" inspect -f '{{.Config.Env}} {{.Config.User}} {{.Config.WorkingDir}} {{.HostConfig.CapAdd}} {{.HostConfig.CapDrop}} {{.HostConfig.Binds}}' one)" = \
		"[A=here B=flag C=more] 1:2 /tmp [CAP_SYS_TIME] [CAP_NET_ADMIN] [$P/env:/env:rw p_data:/data:ro]" ]
	[ "$("$WHERRY" inspect -f '{{index .Config.Labels "x"}}{{index .Config.Labels "n"}}{{index .Config.Labels "keep"}} {{.HostConfig.RestartPolicy.Name}} {{len .HostConfig.PortBindings}}' one)" = "z1me no 1" ]
	[ "$("$WHERRY" inspect -f '{{(index .NetworkSettings.Networks "p_default").Aliases}}' one)" = "[one]" ]
	[ -z "$(c ps -aq h)" ]
	"$WHERRY" rm -f one >/dev/null
	c run -d -P --use-aliases --entrypoint 'sleep 500' --name one a >/dev/null
	[ "$("$WHERRY" inspect -f '{{.Config.Entrypoint}} {{.Config.Cmd}} {{len .HostConfig.PortBindings}} {{(index .NetworkSettings.Networks "p_default").Aliases}}' one)" = "[sleep 500] [] 1 [one a ali]" ]
	[ "$(c ps --services)" = h ]
	"$WHERRY" rm -f one >/dev/null
	local rc=0
	c run --rm -T a sh -c 'cat; exit 4' <<<typed >out || rc=$?
	[ "$rc" -eq 4 ] && [ "$(cat out)" = typed ]
	c run --rm -d a true
	rc=0
	c run --rm -T a /no/such || rc=$?
	[ "$rc" -eq 127 ]
	eventually 5 eval '[ "$("$WHERRY" ps -aq | wc -l)" -eq 1 ]'
	run --separate-stderr c --dry-run run a true
	[ "$status" -eq 1 ]
	[ "$("$WHERRY" ps -aq | wc -l)" -eq 1 ]
}

@test "build --check, --print and flags for what is not made" {
	cat >compose.yaml <<-'YAML'
		services:
		  a: {build: {context: ., dockerfile_inline: "FROM bb\nMAINTAINER x\n", args: {A: 1}}}
	YAML
	refused 'attestations are not made; only false is taken' build --sbom true
	[[ "$(c build --builder x 2>&1)" == 'no builder "x" found'* ]]
	c build --print --provenance false | python3 -c '
import json, sys
target = json.load(sys.stdin)["target"]["a"]
assert target["args"] == {"A": "1"} and target["tags"] == ["p-a"] and target["output"] == ["type=docker"]
assert target["labels"]["com.docker.compose.service"] == "a"'
	run c build --check
	[ "$status" -eq 1 ]
	[[ "$output" == *MaintainerDeprecated* ]]
	run ! "$WHERRY" image inspect p-a
	c build -q
	[ "$("$WHERRY" image inspect -f '{{index .Config.Labels "com.docker.compose.project"}}' p-a)" = p ]
	"$WHERRY" rmi p-a >/dev/null
}

@test "COMPOSE_ variables, also in .env, and --compatibility" {
	c --compatibility create a
	[ "$("$WHERRY" ps -a --format '{{.Names}}')" = p_a_1 ]
	c --compatibility down
	cat >.env <<-'ENV'
		COMPOSE_PROJECT_NAME=other
		COMPOSE_FILE=one.yaml;two.yaml
		COMPOSE_PATH_SEPARATOR=;
		COMPOSE_PROFILES=extra
		COMPOSE_COMPATIBILITY=1
	ENV
	mv compose.yaml one.yaml
	echo 'services: {x: {image: bb, command: "true", profiles: [extra]}, y: {image: bb, profiles: [more]}}' >two.yaml
	[ "$(c config --services | sort | tr '\n' ' ')" = "a b x " ]
	c create x 2>&1 | grep -q 'Container other_x_1  Created'
	c down
	run c --env-file /dev/null ps
	[ "$status" -eq 1 ] # compose.yaml is not there any more
	COMPOSE_DISABLE_ENV_FILE=1 run c ps
	[ "$status" -eq 1 ]
	[ "$(c -f - -p piped config --services <<<'services: {z: {image: bb}}')" = z ]
	mkdir -p deep/er
	cp one.yaml compose.yaml
	cd deep/er
	[ "$(COMPOSE_DISABLE_ENV_FILE=1 c config --services | sort | tr '\n' ' ')" = "a b " ]
	cd "$P"
	rm .env
}
