# Projects of several containers, against a daemon of their own: order, health, changes, what is left.
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
	cd "$P"
}

teardown() {
	"$WHERRY" compose --profile '*' down -v -t 0 --remove-orphans >/dev/null 2>&1 || true
}

c() {
	"$WHERRY" compose "$@"
}

state_of() {
	"$WHERRY" inspect --format '{{.State.Status}}' "p-$1"
}

is_state() {
	[ "$(state_of "$1")" = "$2" ]
}

id_of() {
	"$WHERRY" inspect --format '{{.Id}}' "p-$1"
}

# For eventually: the service has printed the text.
logged() {
	c logs "$1" | grep -q "$2"
}

three_services() {
	cat >compose.yaml <<-'YAML'
		services:
		  web:
		    image: bb
		    command: sh -c "nslookup db >/dev/null && echo found-$$WHO; exec sleep 1000"
		    environment: {WHO: "${WHO:-nobody}"}
		    init: true
		    depends_on:
		      db: {condition: service_healthy}
		      job: {condition: service_completed_successfully}
		  db:
		    image: bb
		    init: true
		    command: sh -c "sleep 0.5; touch /tmp/ok; exec sleep 1000"
		    healthcheck: {test: test -f /tmp/ok, interval: 200ms, timeout: 20s, retries: 300}
		    volumes: ["data:/data"]
		  job:
		    image: bb
		    command: sh -c "sleep 0.3; echo job-done"
		volumes: {data: }
	YAML
}

@test "up waits for health and jobs, down leaves nothing" {
	three_services
	run --separate-stderr c up -d
	[ "$status" -eq 0 ]
	[[ "$stderr" == *" Container p-db-1  Healthy"*" Container p-web-1  Starting"* ]]
	[[ "$stderr" == *" Container p-job-1  Exited"*" Container p-web-1  Starting"* ]]
	eventually 5 logged web found-nobody
	[ "$(c ps --services | sort | tr '\n' ' ')" = "db web " ]
	[ "$(c ps -a -q | wc -l)" -eq 3 ]
	c down -v -t 1
	[ -z "$("$WHERRY" ps -aq)" ]
	[ -z "$("$WHERRY" volume ls -q)" ]
	! "$WHERRY" network ls --format '{{.Name}}' | grep p
	eventually 5 no_leftovers || fail "$(leftovers)"
}

@test "who waits holds up only those that depend on it" {
	cat >compose.yaml <<-'YAML'
		services:
		  slow:
		    image: bb
		    init: true
		    command: sleep 1000
		    volumes: ["shared:/shared"]
		    healthcheck: {test: test -f /shared/other, interval: 200ms, timeout: 20s, retries: 300}
		  waits: {image: bb, init: true, command: sleep 1000, depends_on: {slow: {condition: service_healthy}}}
		  first: {image: bb, init: true, command: sleep 1000}
		  other: {image: bb, command: touch /shared/other, volumes: ["shared:/shared"], depends_on: [first]}
		volumes: {shared: }
	YAML
	c up -d # slow is healthy only after other has run, which stands after waits
	[ "$(state_of waits-1)" = running ]
}

@test "a second up changes nothing, a changed service is replaced and its volume stays" {
	three_services
	c up -d
	web=$(id_of web-1)
	db=$(id_of db-1)
	c exec -T db sh -c 'echo kept >/data/f'
	c up -d
	[ "$web" = "$(id_of web-1)" ]
	WHO=you c up -d
	[ "$web" != "$(id_of web-1)" ]
	[ "$db" = "$(id_of db-1)" ]
	c up -d --force-recreate db
	[ "$db" != "$(id_of db-1)" ]
	[ "$(c exec -T db cat /data/f)" = kept ]
}

@test "a dependency that fails is named and its dependents stay created" {
	three_services
	sed -i 's/echo job-done/exit 5/' compose.yaml
	run c up -d
	[ "$status" -eq 1 ]
	[[ "$output" == *'service "job" didn'"'"'t complete successfully: exit 5'* ]]
	[ "$(state_of web-1)" = created ]
}

@test "an unhealthy dependency is named" {
	three_services
	sed -i 's/retries: 300/retries: 2/; s/touch/true/' compose.yaml
	run c up -d
	[ "$status" -eq 1 ]
	[[ "$output" == *"dependency failed to start: container p-db-1 is unhealthy"* ]]
}

@test "wrong files are refused with a place before anything is made" {
	printf 'services:\n  a:\n    image: bb\n  b:\n    imgae: bb\n' >compose.yaml
	run c up -d
	[ "$status" -eq 1 ]
	[[ "$output" == *'compose.yaml:5:5: unknown key "imgae" in services.b: did you mean "image"?'* ]]
	[ -z "$("$WHERRY" ps -aq)" ]
}

@test "attached up prints every line with its name, an interrupt stops all" {
	cat >compose.yaml <<-'YAML'
		services:
		  a:
		    image: bb
		    command: sh -c "trap 'echo bye; exit 3' TERM; echo hello; while :; do sleep 0.1; done"
		  long-name:
		    image: bb
		    command: sh -c "echo once; exit 0"
	YAML
	"$WHERRY" compose up >out 2>err 3>&- &
	up=$!
	eventually 10 grep -q 'long-name-1 exited with code 0' out
	eventually 10 grep -q 'hello' out
	kill -TERM $up # a shell makes its background jobs ignore SIGINT
	status=0
	wait $up || status=$?
	[ "$status" -eq 130 ]
	grep -q '^Attaching to a-1, long-name-1$' out
	grep -q '^a-1          | hello$' out
	grep -q '^long-name-1  | once$' out
	grep -q 'bye' out
	grep -q 'a-1 exited with code 3$' out # behind what clears the line
	[ "$(state_of a-1)" = exited ]
}

@test "abort-on-container-exit and exit-code-from decide the status" {
	cat >compose.yaml <<-'YAML'
		services:
		  a: {image: bb, init: true, command: sleep 1000}
		  b: {image: bb, command: sh -c "sleep 0.3; exit 7"}
	YAML
	run c up --abort-on-container-exit
	[ "$status" -eq 7 ]
	[ "$(state_of a-1)" = exited ]
	run c up --exit-code-from a
	[ "$status" -eq 143 ]
}

@test "scale goes up behind the last and down again; orphans go when asked" {
	printf 'services:\n  a: {image: bb, init: true, command: sleep 1000}\n  b: {image: bb, init: true, command: sleep 1000}\n' >compose.yaml
	c up -d --scale a=3
	[ "$(c ps -q a | wc -l)" -eq 3 ]
	c up -d
	[ "$(c ps -q a | wc -l)" -eq 1 ]
	sed -i '/  b:/d' compose.yaml
	run c up -d
	[[ "$output" == *"Found orphan containers ([p-b-1])"* ]]
	c up -d --remove-orphans
	! state_of b-1
}

@test "build, an inline Dockerfile, profiles, a .env file" {
	cat >compose.yaml <<-'YAML'
		services:
		  a:
		    build:
		      args: {WHO: "${WHO}"}
		      dockerfile_inline: |
		        FROM bb
		        ARG WHO
		        RUN echo for $$WHO >/who
		    command: cat /who
		  dev: {image: bb, profiles: [dev], command: echo dev}
	YAML
	echo 'WHO=dotenv' >.env
	c up --build -d
	eventually 5 logged a 'for dotenv'
	! state_of dev-1
	c --profile dev up -d
	state_of dev-1
	c images | grep -q "^p-a-1 *p-a *latest"
	"$WHERRY" image inspect p-a >/dev/null
}

@test "stop, start, restart, kill, rm, exec, run, port" {
	cat >compose.yaml <<-'YAML'
		services:
		  a:
		    image: bb
		    init: true
		    command: sleep 1000
		    ports: ["127.0.0.1::80"]
	YAML
	c up -d
	[[ "$(c port a 80)" == 127.0.0.1:* ]]
	c stop -t 1
	[ "$(state_of a-1)" = exited ]
	c start
	[ "$(state_of a-1)" = running ]
	c restart -t 1 a
	[ "$(state_of a-1)" = running ]
	run -4 c exec -T a sh -c 'exit 4'
	run --separate-stderr -7 c run --rm -T a sh -c 'echo one-off; exit 7'
	[ "$output" = one-off ]
	c kill
	eventually 5 is_state a-1 exited
	c rm -f
	! state_of a-1
}

@test "a project without its file goes down by its name" {
	printf 'services:\n  a: {image: bb, init: true, command: sleep 1000}\n' >compose.yaml
	c -p lonely up -d
	c ls | grep -q 'lonely.*running(1)'
	rm compose.yaml
	c -p lonely down -t 0
	[ -z "$("$WHERRY" ps -aq)" ]
}

@test "docker compose runs ours as its plugin" {
	[ -x "$(docker_cli)" ] || skip "no docker CLI"
	mkdir -p "$DOCKER_CONFIG/cli-plugins"
	ln -sf "$WHERRY" "$DOCKER_CONFIG/cli-plugins/docker-compose"
	printf 'services:\n  a: {image: bb, init: true, command: sleep 1000}\n' >compose.yaml
	"$(docker_cli)" compose up -d
	[ "$("$(docker_cli)" compose ps --services)" = a ]
	[ "$("$DOCKER_CONFIG/cli-plugins/docker-compose" ps -q | wc -l)" -eq 1 ]
	"$(docker_cli)" compose down -t 0
	[ -z "$("$WHERRY" ps -aq)" ]
}

@test "a changed file recreates who reads it, and the reason is said" {
	cat >compose.yaml <<-'YAML'
		services:
		  reads: {image: bb, init: true, command: sleep 1000, configs: [conf], volumes: ["./one:/one"]}
		  other: {image: bb, init: true, command: sleep 1000}
		configs: {conf: {file: ./conf}}
	YAML
	echo 1 | tee one >conf
	c up -d
	reads=$(id_of reads-1) other=$(id_of other-1)
	c up -d
	[ "$reads" = "$(id_of reads-1)" ]
	echo 2 >conf
	run c --dry-run up -d
	[[ "$output" == *" DRY-RUN MODE -  Container p-reads-1  Recreate (the content of /conf changed)"* ]]
	[[ "$output" == *" DRY-RUN MODE -  Container p-other-1  Running"* ]]
	[ "$reads" = "$(id_of reads-1)" ] # nothing was done
	run c up -d -t 0
	[[ "$output" == *" Container p-reads-1  Recreate (the content of /conf changed)"* ]]
	[ "$reads" != "$(id_of reads-1)" ]
	[ "$other" = "$(id_of other-1)" ]
	[ "$(c exec -T reads cat /conf)" = 2 ]
	echo 3 >one
	run c up -d -t 0
	[[ "$output" == *"(the content of /one changed)"* ]]
}

@test "--dry-run says every step and does none" {
	three_services
	run c --dry-run up -d
	[ "$status" -eq 0 ]
	[[ "$output" == *" DRY-RUN MODE -  Network p_default  Creating"*" DRY-RUN MODE -  Container p-db-1  Creating"*" DRY-RUN MODE -  Container p-web-1  Started" ]]
	[ -z "$("$WHERRY" ps -aq)" ]
	run c create --dry-run
	[[ "$output" != *Starting* ]]
	[ -z "$("$WHERRY" ps -aq)$("$WHERRY" volume ls -q)" ]
	c up -d
	for command in stop kill restart "rm -sf" "up -d --force-recreate" "down -v"; do
		run c --dry-run $command
		[ "$status" -eq 0 ]
		[[ "$output" == *" DRY-RUN MODE -  Container p-web-1  "* ]]
	done
	[ "$(c ps --services | sort | tr '\n' ' ')" = "db web " ]
}

@test "a changed network is replaced with what is on it, a changed volume only when somebody says so" {
	cat >compose.yaml <<-'YAML'
		services:
		  a: {image: bb, init: true, command: sleep 1000, networks: [one], volumes: ["data:/data"]}
		  b: {image: bb, init: true, command: sleep 1000, networks: [two]}
		networks:
		  one: {labels: {v: "${NET:-1}"}}
		  two: {}
		volumes:
		  data: {labels: {v: "${VOL:-1}"}}
	YAML
	c up -d
	c exec -T a touch /data/kept
	a=$(id_of a-1) b=$(id_of b-1)
	NET=2 run c up -d -t 0
	[[ "$output" == *"Container p-a-1  Stopped"*"Network p_one  Removed"*"Network p_one  Created"*"Container p-a-1  Recreated"* ]]
	[ "$a" != "$(id_of a-1)" ]
	[ "$b" = "$(id_of b-1)" ]
	[ "$("$WHERRY" network inspect -f '{{.Labels.v}}' p_one)" = 2 ]
	export NET=2 VOL=2
	run c --dry-run up -d </dev/null # asks nobody
	[[ "$output" == *"Without --dry-run somebody is asked"* && "$output" != *"Volume p_data"* && "$output" != *"lost)?"* ]]
	run c --dry-run up -d -y
	[[ "$output" == *"DRY-RUN MODE -  Volume p_data  Removed"* ]]
	run c up -d -t 0 </dev/null
	[ "$status" -eq 0 ]
	[[ "$output" == *"Volume \"p_data\" exists but doesn't match configuration in compose file. Recreate (data will be lost)?"* ]]
	c exec -T a test -e /data/kept
	run c up -d -t 0 -y
	[ "$status" -eq 0 ]
	run ! c exec -T a test -e /data/kept
	[ "$("$WHERRY" volume inspect -f '{{.Labels.v}}' p_data)" = 2 ]
	[ "$b" = "$(id_of b-1)" ]
	run c up -d </dev/null
	[[ "$output" != *"data will be lost"* ]]
}
