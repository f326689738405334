# What services mean at run time: hooks, configs and secrets, what is refused; projects without their file.
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
	P=$DIR/$BATS_TEST_NUMBER
	mkdir -p "$P"
	cd "$P" || return 1
	export COMPOSE_PROJECT_NAME=cr$BATS_TEST_NUMBER
}

teardown() {
	[ ! -f compose.yaml ] || w down -v -t 0 --remove-orphans >/dev/null 2>&1 || true
}

w() {
	timeout 120 "$WHERRY" compose "$@"
}

id_of() {
	"$WHERRY" inspect --format '{{.Id}}' "$COMPOSE_PROJECT_NAME-$1"
}

@test "hooks run as they are told to, and one that fails ends the command" {
	cat >compose.yaml <<-'YAML'
		services:
		  a:
		    image: bb
		    init: true
		    command: sleep 1000
		    volumes: ["v:/v"]
		    post_start:
		      - {command: sh -c 'echo $$(id -u) $$A $$PWD >/v/started', user: "0:5", environment: [A=1], working_dir: /tmp}
		      - {command: [sh, -c, "exit ${CODE:-0}"]}
		    pre_stop: [{command: [sh, -c, "echo stopped >>/v/stopped; exit $$STOP"], environment: ["STOP=${STOP:-0}"]}]
		  b: {image: bb, init: true, command: sleep 1000, depends_on: [a]}
		volumes: {v: }
	YAML
	CODE=3 run --separate-stderr w up -d
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"a hook exited with status 3"* ]]
	[ "$("$WHERRY" inspect --format '{{.State.Status}}' "$COMPOSE_PROJECT_NAME-b-1")" = created ]
	w up -d # another command of a hook: made anew, and the old one's hook is heard
	[ "$(w exec -T a cat /v/started /v/stopped)" = "0 1 /tmp
stopped" ]
	w restart -t 0 a
	w stop -t 0 a
	w start a
	[ "$(w exec -T a sh -c 'wc -l </v/stopped')" = 3 ]
	STOP=4 run --separate-stderr w stop -t 0
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"a hook exited with status 4"* ]]
	[ "$("$WHERRY" inspect --format '{{.State.Status}}' "$COMPOSE_PROJECT_NAME-a-1")" = running ]
}

@test "an attached up shows what hooks say" {
	cat >compose.yaml <<-'YAML'
		services: {a: {image: bb, command: sleep 1, post_start: [{command: sh -c 'echo from the hook; echo err >&2'}]}}
	YAML
	run --separate-stderr w up
	[ "$status" -eq 0 ]
	[[ "$output" == *"a-1 ->  | from the hook"* ]]
	[[ "$output" == *"a-1 ->  | err"* ]]
}

@test "configs and secrets of every kind arrive with owner and mode, in a read-only service too" {
	printf 'a\0b' >file.bin
	cat >compose.yaml <<-'YAML'
		services:
		  a: &a
		    image: bb
		    init: true
		    command: sleep 1000
		    read_only: true
		    secrets: [plain, {source: env, uid: "7", gid: "8", mode: 0400}, {source: env, target: /else/where}]
		    configs: [inline, {source: inline, target: /etc/in.conf, mode: 0640}]
		  b:
		    <<: *a
		    read_only: false
		    secrets: [{source: plain, target: owned, uid: "7", mode: 0600}]
		secrets: {plain: {file: ./file.bin}, env: {environment: SECRET}}
		configs: {inline: {content: "who=$SECRET"}}
	YAML
	export SECRET=abc
	w up -d
	[ "$(w exec -T a sh -c 'cd /run/secrets; stat -c "%n %u:%g %a" env; cat env /else/where /inline /etc/in.conf; wc -c <plain')" = "env 7:8 400
abcabcwho=abcwho=abc3" ]
	[ "$(w exec -T a stat -c '%a' /etc/in.conf)" = 640 ]
	run w exec -T a touch /x
	[ "$status" -ne 0 ]
	[ "$(w exec -T b sh -c 'stat -c "%u %a" /run/secrets/owned; wc -c </run/secrets/owned')" = "7 600
3" ]
	unset SECRET
	run --separate-stderr w up -d --force-recreate
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"compose.yaml:13:"*"variable SECRET of \"env\" is not set"* ]]
	mv compose.yaml kept.yaml
	w down -t 0 # by its name alone
	[ -z "$("$WHERRY" ps -aq)" ]
}

@test "what cannot be done is refused when its service is started, with its place" {
	cat >compose.yaml <<-'YAML'
		services:
		  fine: {image: bb, init: true, command: sleep 1000}
		  gpu:
		    image: bb
		    gpus: all
		  spec:
		    image: bb
		    credential_spec: {file: x.json}
		  helped:
		    provider: {type: cloud}
		  smart:
		    image: bb
		    models: [llm]
		  apart: {image: bb, isolation: hyperv}
		models: {llm: {model: ai/x}}
	YAML
	w config -q
	w up -d fine
	local service
	for service in gpu:5 spec:8 helped:10 smart:13 apart:14; do
		run --separate-stderr w up -d "${service%:*}"
		[ "$status" -eq 1 ]
		[[ "$stderr" == *"compose.yaml:${service#*:}:"*"service \"${service%:*}\": "* ]] || fail "$service: $stderr"
		! "$WHERRY" inspect "$COMPOSE_PROJECT_NAME-${service%:*}-1" >/dev/null 2>&1
	done
}

@test "use_api_socket: the engine and its logins inside a service" {
	cat >compose.yaml <<-'YAML'
		services: {a: {image: bb, init: true, command: sleep 1000, use_api_socket: true}}
	YAML
	echo '{"auths": {"r.example": {"auth": "dTpw"}}}' >"$DOCKER_CONFIG/config.json"
	w up -d
	[ "$(w exec -T a sh -c 'cat $DOCKER_CONFIG/config.json')" = '{"auths":{"r.example":{"auth":"dTpw"}}}' ]
	w exec -T a test -S /var/run/docker.sock
	echo '{}' >"$DOCKER_CONFIG/config.json"
}

@test "the engine keeps a project: everything goes on without the file" {
	cat >compose.yaml <<-'YAML'
		services:
		  a:
		    image: bb
		    init: true
		    command: sh -c 'echo hello; sleep 1000'
		    environment: {DOLLAR: 'a$$b'}
		    volumes: ["./here:/here", "v:/v"]
		    pre_stop: [{command: touch /v/stopped}]
		    depends_on: [b]
		  b: {image: bb, init: true, command: sleep 1000}
		  c: {image: bb, init: true, command: sleep 1000, profiles: [more]}
		volumes: {v: }
	YAML
	w --profile more up -d
	local a
	a=$(id_of a-1)
	w diff # says nothing
	sed -i 's/DOLLAR: .*/DOLLAR: other}/; s/^  b: .*/  b: {image: bb, command: sleep 1000, labels: {new: one}}/' compose.yaml
	run --separate-stderr w diff
	[ "$status" -eq 1 ]
	[[ "$output" == *'service a: recreated
  environment.DOLLAR: a$$b -> other'* ]]
	[[ "$output" == *'service b: recreated
  init: true -> (nothing)
  labels: (nothing) -> {"new":"one"}'* ]]
	[ "$(w diff --format json b | jq -c '.[] | [.kind, .name, .change, .reasons[0].path]')" = '["service","b","recreated","init"]' ]
	[ "$a" = "$(id_of a-1)" ]
	mv compose.yaml kept.yaml
	w diff
	[ "$(w -p "$COMPOSE_PROJECT_NAME" ps --services | sort | tr '\n' ' ')" = "a b c " ]
	[ "$(w exec -T a sh -c 'echo $DOLLAR')" = 'a$b' ]
	w up -d
	[ "$a" = "$(id_of a-1)" ] # nothing differs
	w stop -t 0 a
	w start a
	w exec -T a test -e /v/stopped
	[[ "$(w logs a)" == *hello* ]]
	"$WHERRY" rm -f $("$WHERRY" ps -aq) >/dev/null
	[ "$(w ls -a --format json | jq -r '.[] | .Name + " " + .Status + " " + .ConfigFiles')" = "$COMPOSE_PROJECT_NAME kept $P/compose.yaml" ]
	w down -v -t 0
	[ "$(w ls -a --format json)" = '[]' ]
	[ -z "$("$WHERRY" ps -aq --filter label=com.docker.compose.project=$COMPOSE_PROJECT_NAME)" ]
	! "$WHERRY" volume ls -q | grep "^${COMPOSE_PROJECT_NAME}_"
	run --separate-stderr w up -d
	[ "$status" -ne 0 ]
}

without() {
	"$WHERRY" inspect "$COMPOSE_PROJECT_NAME-a-1" | jq -c '.[0].State.WherryWithout'
}

@test "an optional device or mount that is not there is done without, and said" {
	mknod "$P/node" c 1 3
	mkdir "$P/there"
	echo yes >"$P/there/f"
	cat >compose.yaml <<-YAML
		services:
		  a:
		    image: bb
		    init: true
		    command: sleep 1000
		    restart: always
		    devices:
		      - {source: $P/node, target: /dev/here, permissions: rw, x-required: false}
		      - {source: $P/stick, target: /dev/stick, permissions: rw, x-required: false}
		    volumes:
		      - {type: bind, source: $P/there, target: /there, x-required: false}
		      - {type: bind, source: $P/usb, target: /usb, x-required: false}
	YAML
	run --separate-stderr w up -d
	[ "$status" -eq 0 ] || fail "$stderr"
	[[ "$stderr" == *"a-1 starts without /dev/stick, which is not there"* ]]
	[[ "$stderr" == *"a-1 starts without /usb, which is not there"* ]]
	[ "$(without)" = '["/usb","/dev/stick"]' ]
	[ "$(w exec -T a sh -c 'cat /there/f; ls -d /dev/here /dev/stick /usb 2>/dev/null')" = "yes
/dev/here" ]
	[ ! -e "$P/usb" ] # not made on the host
	mknod "$P/stick" c 1 5
	mkdir "$P/usb"
	w restart -t 0
	[ "$(without)" = null ]
	w exec -T a sh -c 'test -c /dev/stick && test -d /usb'
	sed -i 's/, x-required: false//' compose.yaml
	rm "$P/stick"
	w up -d # required: under its policy it waits
	[ "$("$WHERRY" inspect "$COMPOSE_PROJECT_NAME-a-1" | jq -r '.[0].State.WherryWaitingFor')" = "device $P/stick" ]
}

inside() { # SERVICE SCRIPT
	w exec -T "$1" sh -c "$2"
}

@test "what a file says of a service is so inside of it" {
	cat >compose.yaml <<-'YAML'
		x-base: &base {image: bb, init: true, command: sleep 1000}
		services:
		  web:
		    <<: *base
		    hostname: front
		    domainname: example.org
		    networks: {back: {aliases: [www], ipv4_address: 10.231.7.9}, side: }
		    links: ["db:database"]
		    tmpfs: ["/scratch:size=1m,mode=0700"]
		    shm_size: 8m
		    ulimits: {nofile: {soft: 321, hard: 654}, core: 0}
		    sysctls: {net.core.somaxconn: 1234}
		    user: "12:34"
		    group_add: [56]
		    cap_drop: [ALL]
		    extra_hosts: {one.test: 192.0.2.1, six.test: "::7"}
		    dns_search: [search.test]
		    logging: {driver: json-file, options: {max-size: 10k, tag: t}}
		    healthcheck: {test: [CMD, "true"], interval: 200ms, timeout: 30s}
		    annotations: {a: b}
		    mem_limit: 64m
		    pids_limit: 50
		  db:
		    <<: *base
		    networks: [back]
		    ipc: shareable
		    volumes: ["data:/data", "/own"]
		    working_dir: /data
		    environment: {WHO: db}
		    stop_signal: SIGINT
		    read_only: true
		  sidecar:
		    <<: *base
		    network_mode: service:db
		    pid: service:db
		    ipc: service:db
		    volumes_from: ["db:ro"]
		  never: {<<: *base, profiles: [other]}
		networks:
		  back: {ipam: {config: [{subnet: 10.231.7.0/24}]}}
		  side: {internal: true}
		volumes: {data: }
	YAML
	w up -d --wait
	[ "$(w ps -a --services | sort | tr '\n' ' ')" = "db sidecar web " ]
	[ "$(inside web 'hostname; hostname -d; id -u; id -G; ulimit -n; ulimit -Hn; cat /proc/sys/net/core/somaxconn')" = "front
example.org
12
34 56
321
654
1234" ]
	[ "$(inside web 'df -k /scratch /dev/shm | awk "NR > 1 {print \$2}"; stat -c %a /scratch; grep CapBnd /proc/self/status')" = "1024
8192
700
CapBnd:	0000000000000000" ]
	inside web 'ip -4 addr | grep -q 10.231.7.9/24; grep -q "192.0.2.1.one.test" /etc/hosts; grep -q "^search search.test" /etc/resolv.conf'
	inside web 'grep -q "::7.six.test" /etc/hosts; nslookup database. >/dev/null && nslookup db. >/dev/null'
	[ "$(inside sidecar 'nslookup www | grep -c 10.231.7.9')" -ge 1 ]
	[ "$(inside db 'pwd; echo $WHO; hostname')" = "/data
db
$(inside sidecar hostname)" ]
	run inside db 'touch /x'
	[ "$status" -ne 0 ]
	inside db 'echo shared >/data/f; echo shm >/dev/shm/f; echo own >/own/f'
	[ "$(inside sidecar 'cat /data/f /dev/shm/f /own/f')" = "shared
shm
own" ]
	run inside sidecar 'touch /data/x'
	[ "$status" -ne 0 ]
	[ "$(inside sidecar 'readlink /proc/self/ns/net /proc/self/ns/pid')" = "$(inside db 'readlink /proc/self/ns/net /proc/self/ns/pid')" ]
	[ "$("$WHERRY" inspect "$COMPOSE_PROJECT_NAME-web-1" | jq -c '.[0].HostConfig | [.LogConfig.Config["max-size"], .Memory, .PidsLimit, .Annotations.a]')" = '["10k",67108864,50,"b"]' ]
	[ "$("$WHERRY" inspect "$COMPOSE_PROJECT_NAME-db-1" | jq -r '.[0].Config.StopSignal')" = SIGINT ]
}
