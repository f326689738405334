# The real docker CLI against our socket: the same container and restart tests, and what only it does.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	export DOCKER
	DOCKER=$(docker_cli)
	[ -x "$DOCKER" ] || fail "no docker CLI: ./test fetches it"
	daemon_setup
	busybox_image
}

teardown_file() {
	daemon_teardown
}

d() {
	"$DOCKER" "$@"
}

@test "container tests pass with the docker CLI" {
	WHERRY=$DOCKER run bats --tap "$BATS_TEST_DIRNAME/container.bats"
	[ "$status" -eq 0 ] || fail "$output"
}

@test "restart tests pass with the docker CLI" {
	WHERRY=$DOCKER run bats --tap "$BATS_TEST_DIRNAME/restart.bats"
	[ "$status" -eq 0 ] || fail "$output"
}

@test "version and info name the engine" {
	[[ "$(d version --format '{{.Server.Version}}')" =~ ^[0-9]+\.[0-9]+ ]]
	[ "$(d info --format '{{.Driver}}')" = overlay2 ]
	[ "$(d info --format '{{.Plugins.Log}} {{.Plugins.Network}}')" = "[journald json-file local] [bridge host ipvlan macvlan null]" ]
}

@test "a detached run, ps, port, inspect, top-level formats" {
	d run -d --name web -p 127.0.0.1:0:80 -l shape=round bb sh -c 'mkdir /w; echo page >/w/index.html; exec httpd -f -p 80 -h /w'
	port=$(d port web 80/tcp)
	eventually 5 curl -sf "http://$port/"
	[ "$(d ps --filter label=shape=round --format '{{.Names}} {{.Image}} {{.State}}')" = "web bb running" ]
	[ "$(d inspect -f '{{.Config.Labels.shape}}' web)" = round ]
	d rm -f web
}

@test "a kill is answered when the container has ended, a kill or rename that fails says why" {
	for i in 1 2 3; do
		d run -d --name killed bb sleep 1000
		d kill killed
		d rm killed
	done
	d run --name done bb true
	d create --name free bb true
	run d kill done
	[ "$status" -eq 1 ]
	[[ "$output" == *"cannot kill container: done: container "*" is not running" ]]
	run d rename free done
	[ "$status" -eq 1 ]
	[[ "$output" == *'Error when allocating new name: Conflict. The container name "/done" is already in use'* ]]
	d rm done free
}

@test "a namespace of nobody fails the start, and no image is pulled for it" {
	for mode in --network --pid --ipc; do
		run d run --rm "$mode" container:nobody bb true
		[ "$status" -eq 125 ]
		[[ "$output" == *"No such container: nobody"* && "$output" != *"Unable to find image"* ]] || fail "$output"
	done
	[ -z "$(d ps -aq)" ]
}

@test "an anonymous volume goes with its container, but not with one that got it by name" {
	d run --name owner -v /x bb sh -c 'echo kept >/x/f'
	vol=$(d inspect -f '{{(index .Mounts 0).Name}}' owner)
	d rm owner
	[ "$(d run --rm -v "$vol:/y" bb cat /y/f)" = kept ]
	[ "$(d run --rm --mount "type=volume,source=$vol,target=/y" bb cat /y/f)" = kept ]
	d volume inspect "$vol"
	d volume rm "$vol"
	d run --rm -v /x bb true
	[ -z "$(d volume ls -q --filter label=com.docker.volume.anonymous)" ]
}

@test "docker build runs a Dockerfile with the classic builder" {
	mkdir -p "$DIR/ctx"
	printf 'FROM bb AS one\nRUN echo built > /built\nFROM bb\nCOPY --from=one /built /copy\nCMD ["cat", "/copy"]\n' >"$DIR/ctx/Dockerfile"
	DOCKER_BUILDKIT=0 d build -t made "$DIR/ctx"
	[ "$(d run --rm made)" = built ]
	printf 'FROM bb\nRUN exit 7\n' >"$DIR/ctx/Dockerfile"
	DOCKER_BUILDKIT=0 run d build "$DIR/ctx"
	[ "$status" -ne 0 ]
	[[ "$output" == *"returned a non-zero code: 7"* ]]
	printf 'FROM bb\nRNU true\n' >"$DIR/ctx/Dockerfile"
	DOCKER_BUILDKIT=0 run d build "$DIR/ctx"
	[ "$status" -ne 0 ]
	[[ "$output" == *Dockerfile:2* ]]
}

@test "images: import, tag, inspect, history, remove" {
	d import "$DIR/bb.tar" other:1
	d tag other:1 other:2
	[ "$(d images -q other | sort -u | wc -l)" -eq 1 ]
	d rmi other:1
	[ "$(d images --format '{{.Tag}}' other)" = 2 ]
	d rmi other:2
	run d inspect other:2
	[ "$status" -ne 0 ]
}

@test "networks and volumes: create, list, inspect, remove, in use" {
	d network create --subnet 10.211.7.0/24 mine
	[ "$(d network inspect -f '{{(index .IPAM.Config 0).Subnet}}' mine)" = 10.211.7.0/24 ]
	d run -d --name member --network mine --ip 10.211.7.9 bb sleep 1000
	[ "$(d inspect -f '{{.NetworkSettings.Networks.mine.IPAddress}}' member)" = 10.211.7.9 ]
	run d network rm mine
	[ "$status" -ne 0 ]
	[[ "$output" == *"has active endpoints"* ]]
	d rm -f member
	d network rm mine
	d volume create vol
	d run -d --name user -v vol:/v bb sleep 1000
	run d volume rm vol
	[ "$status" -ne 0 ]
	[[ "$output" == *"volume is in use"* ]]
	d rm -f user
	d volume rm vol
}

@test "events tell a container's life" {
	since=$(date +%s)
	d run --rm --name eventful bb true
	out=$(timeout 60 "$DOCKER" events --since "$since" --until "$(($(date +%s) + 1))" --filter container=eventful --format '{{.Action}}')
	for action in create start die destroy; do
		[[ "$out" == *"$action"* ]] || fail "no $action in: $out"
	done
}
