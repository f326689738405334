# Networks through the API and the CLI: what a client of dockerd expects of them.

load lib.bash

setup_file() {
	daemon_setup
	busybox_image
}

teardown_file() {
	daemon_teardown
}

teardown() {
	"$WHERRY" ps -aq | xargs -r "$WHERRY" rm -f >/dev/null 2>&1 || true
	"$WHERRY" network prune -f >/dev/null 2>&1 || true
}

w() {
	"$WHERRY" "$@"
}

# Status code and message of a refused request.
refused() {
	api "$1" "$2" -H 'Content-Type: application/json' -d "${3:-}" -w '%{http_code}'
}

@test "dual stack: addresses, names, /etc/hosts, inspect" {
	w network create --ipv6 --subnet fd00:7171::/64 --subnet 10.71.7.0/24 front
	w run -d --name one --network front --ip 10.71.7.9 --ip6 fd00:7171::9 --network-alias first bb sleep 1000
	w run -d --name two --network front bb sleep 1000
	[ "$(w inspect -f '{{.NetworkSettings.Networks.front.GlobalIPv6Address}}' one)" = fd00:7171::9 ]
	[ "$(w inspect -f '{{.NetworkSettings.Networks.front.IPv6Gateway}}' two)" = fd00:7171::1 ]
	w exec two nslookup -type=aaaa first | grep -F fd00:7171::9
	w exec two ping -6 -c 1 -w 60 one
	w exec one grep -F fd00:7171::9 /etc/hosts
	w network inspect front -f '{{range .Containers}}{{.IPv6Address}} {{end}}' | grep -F fd00:7171::9/64
}

@test "an IPv4 network leaves no IPv6 in its containers" {
	w network create plain
	run w run --rm --network plain bb ip -6 addr show eth0
	[ -z "$output" ]
}

@test "links of the default bridge: hosts and environment" {
	run refused POST /containers/create '{"Image":"bb","Cmd":["true"],"HostConfig":{"Links":["nobody:x"]}}'
	[[ "$output" == *'could not get container for nobody: No such container: nobody'*400 ]]
	w create --name db --expose 80 --expose 53/udp -e X=1 bb sleep 1000
	run w run --rm --name app --link db:the-db bb true
	[[ "$output" == *'Cannot link to a non running container: /db AS /app/the-db'* ]]
	w rm -f app
	w start db
	ip=$(w inspect -f '{{.NetworkSettings.IPAddress}}' db)
	run w run --rm --name app --link db:the-db bb sh -c 'env; cat /etc/hosts'
	for line in THE_DB_PORT=udp://"$ip":53 THE_DB_PORT_80_TCP=tcp://"$ip":80 THE_DB_PORT_80_TCP_PROTO=tcp \
		THE_DB_NAME=/app/the-db THE_DB_ENV_X=1; do
		grep -qx "$line" <<<"$output" || fail "no $line"
	done
	grep -q "^$ip	the-db .* db$" <<<"$output"
}

@test "a link is a name of its container until it is removed" {
	w run -d --name db bb sleep 1000
	w run -d --name app --link db:one --link db:two bb sleep 1000
	names() { api GET /containers/json | python3 -c 'import json, sys; print(*sorted(n for c in json.load(sys.stdin) for n in c["Names"]))'; }
	[ "$(names)" = "/app /app/one /app/two /db" ]
	run refused DELETE '/containers/app/nope?link=1'
	[[ "$output" == *'No such container: app/nope'*404 ]]
	run refused DELETE '/containers/db?link=1&force=1'
	[[ "$output" == *'Conflict, cannot remove the default link name of the container'*500 ]]
	db=$(api GET /containers/db/json | jq -r .Id)
	[ "$(api GET /containers/app/two/json | jq -r .Id)" = "$db" ]
	w rename db base # a link goes with the container, not with its name
	w run -d --name db bb sleep 1000
	[ "$(api GET /containers/app/two/json | jq -r .Id)" = "$db" ]
	[ "$(w inspect -f '{{.HostConfig.Links}}' app)" = "[/base:/app/one /base:/app/two]" ]
	w rm -f db
	w rename base db
	[ -z "$(api DELETE '/containers/app/one?link=1')" ]
	[ "$(names)" = "/app /app/two /db" ]
	[ "$(w inspect -f '{{.HostConfig.Links}}' app)" = "[/db:/app/two]" ]
	run w exec app cat /etc/hosts
	[[ "$output" == *" db"* && "$output" == *"	two "* && "$output" != *"	one "* ]]
	w restart -t 0 app
	run w exec app cat /etc/hosts
	[[ "$output" == *"	two "* && "$output" != *"	one "* ]]
}

@test "links of a user-defined network are names for one container" {
	w network create front
	w run -d --name db --network front bb sleep 1000
	w run -d --name app --network front --link db:store bb sleep 1000
	ip=$(w inspect -f '{{.NetworkSettings.Networks.front.IPAddress}}' db)
	w exec app nslookup -type=a store | grep -F "$ip"
	run w exec db nslookup -type=a store
	[[ "$output" != *"$ip"* ]]
}

@test "a network that is missing is missed at start" {
	w create --name lost --network nowhere bb true
	run refused POST /containers/lost/start
	[[ "$output" == *'network nowhere not found'*404 ]]
	w network create nowhere
	w start -a lost
}

@test "connect and disconnect, running and stopped" {
	w network create front
	w network create back
	w create --name con bb sleep 1000
	w network connect --alias kept front con
	w start con
	w exec con ip addr show eth1
	w exec con nslookup -type=a kept
	w network connect --link-local-ip 169.254.7.7 back con
	w exec con ip addr show eth2 | grep -F 169.254.7.7/16
	w exec con grep "$(w inspect -f '{{.NetworkSettings.Networks.back.IPAddress}}' con)" /etc/hosts
	w network disconnect bridge con
	w exec con ip route | grep '^default'
	w network disconnect back con
	run w exec con ip addr show eth2
	[ "$status" -ne 0 ]
	run refused POST /networks/back/disconnect '{"Container":"con"}'
	[[ "$output" == *'is not connected to network back'*500 ]]
	run refused POST /networks/front/connect '{"Container":"con"}'
	[[ "$output" == *'endpoint with name con already exists in network front'*403 ]]
	run refused POST /networks/host/connect '{"Container":"con"}'
	[[ "$output" == *'container cannot be disconnected from host network or connected to host network'*400 ]]
	run refused POST /networks/none/connect '{"Container":"con"}'
	[[ "$output" == *'container cannot be connected to multiple networks with one of the networks in private (none) mode'*400 ]]
	run refused POST /networks/front/disconnect '{"Container":"nobody","Force":true}'
	[[ "$output" == *'endpoint nobody not found'*404 ]]
}

@test "an interface has the name that is asked for, the others what is left" {
	name=com.docker.network.endpoint.ifname
	w network create front
	w network create back
	w run -d --name named --network front --network "name=back,driver-opt=$name=eth0" bb sleep 1000
	w exec named ip addr show eth0 | grep -F "$(w inspect -f '{{.NetworkSettings.Networks.back.IPAddress}}' named)/"
	w exec named ip addr show eth1 | grep -F "$(w inspect -f '{{.NetworkSettings.Networks.front.IPAddress}}' named)/"
	run w network connect --driver-opt "$name=eth1" bridge named
	[[ "$status $output" == 1*'the container has an interface eth1 already'* ]]
	w network connect --driver-opt "$name=up.link-15chars" bridge named
	w exec named ip addr show up.link-15chars
	for bad in lo a/b 'a b' sixteen-letters-; do
		run w create --network "name=front,\"driver-opt=$name=$bad\"" bb true
		[[ "$output" == *"invalid interface name: $bad"* ]] || fail "$output"
	done
}

@test "wishes that a network cannot fulfil are refused in dockerd's words" {
	w network create front
	run refused POST /containers/create '{"Image":"bb","Cmd":["true"],"HostConfig":{"NetworkMode":"front"},"NetworkingConfig":{"EndpointsConfig":{"front":{"IPAMConfig":{"IPv4Address":"10.9.9.9"}}}}}'
	[[ "$output" == *'invalid config for network front: invalid endpoint settings:\nuser specified IP address is supported only when connecting to networks with user configured subnets'*400 ]]
	run refused POST /containers/create '{"Image":"bb","Cmd":["true"],"NetworkingConfig":{"EndpointsConfig":{"bridge":{"IPAMConfig":{"IPv4Address":"172.17.0.99"}}}}}'
	[[ "$output" == *'* user specified IP address is supported on user defined networks only'*400 ]]
	run refused POST /containers/create '{"Image":"bb","Cmd":["true"],"NetworkingConfig":{"EndpointsConfig":{"bridge":{"Aliases":["x"]}}}}'
	[[ "$output" == *'network-scoped alias is supported only for containers in user defined networks'*400 ]]
	run refused POST /containers/create '{"Image":"bb","Cmd":["true"],"HostConfig":{"NetworkMode":"front"},"NetworkingConfig":{"EndpointsConfig":{"front":{"MacAddress":"zz"}}}}'
	[[ "$output" == *'invalid MAC address zz'*400 ]]
	run w run --rm --network front --network bridge bb true
	[[ "$output" == *'conflicting options: cannot attach both user-defined and non-user-defined network-modes'* ]]
	run w network create --ipv4=false --ipv6 six
	[[ "$output" == *'a network without IPv4 is not supported'* ]]
	run w network create --config-from front copy
	[[ "$output" == *'configuration-only networks are not supported'* ]]
	run w run --rm -p 80:80/sctp bb true
	[[ "$output" == *'SCTP is not supported'* ]]
}

@test "ports: ranges, both families, docker's words for a taken one" {
	port=$(free_port)
	w run -d --name web -p "$port:80" -p 127.0.0.1::81/udp bb sh -c 'echo hello >/tmp/index.html; httpd -f -p 80 -h /tmp'
	[ "$(w port web 80/tcp | sort)" = "$(printf '%s\n' "0.0.0.0:$port" "[::]:$port" | sort)" ]
	w port web 81/udp | grep -E '^127.0.0.1:[0-9]+$'
	eventually 10 curl -sf "http://127.0.0.1:$port/"
	[ "$(curl -sf "http://[::1]:$port/")" = hello ]
	run w run --rm -p "$port:80" bb true
	[ "$status" -eq 125 ]
	[[ "$output" == *"Bind for 0.0.0.0:$port failed: port is already allocated"* ]]
	w run -d --name many -p "23100-23102:7000-7002" bb sleep 1000
	w port many | grep -F '7001/tcp -> 0.0.0.0:23101'
	w run -d --name all -P --expose 90 bb sleep 1000
	w port all 90/tcp | grep -F '0.0.0.0:'
}

@test "ports and the default route go with the network that leads outside" {
	w network create --internal inner
	w network create --subnet 10.71.8.0/24 mid
	w network create --subnet 10.71.9.0/24 zone
	port=$(free_port)
	w run -d --name web --network inner --network zone -p "$port:80" bb sh -c 'echo hello >/tmp/index.html; httpd -f -p 80 -h /tmp'
	eventually 10 curl -sf "http://127.0.0.1:$port/"
	w exec web ip route | grep '^default via 10.71.9.1'
	w network connect mid web
	w exec web ip route | grep '^default via 10.71.8.1'
	eventually 10 curl -sf "http://127.0.0.1:$port/"
	w network disconnect mid web
	w exec web ip route | grep '^default via 10.71.9.1'
	eventually 10 curl -sf "http://127.0.0.1:$port/"
	daemon_signal KILL
	daemon_start
	eventually 10 curl -sf "http://127.0.0.1:$port/"
	w network connect --gw-priority -1 mid web
	w exec web ip route | grep '^default via 10.71.9.1'
	w network disconnect zone web
	w exec web ip route | grep '^default via 10.71.8.1'
	eventually 10 curl -sf "http://127.0.0.1:$port/"
	w port web 80/tcp | grep -F "0.0.0.0:$port"
}

@test "an internal network has no way out, not even for names" {
	w network create --internal cave
	w run -d --name hermit --network cave bb sleep 1000
	w exec hermit nslookup -type=a hermit
	run w exec hermit ip route
	[[ "$output" != *default* ]]
	run w exec hermit nslookup -type=a example.com
	[ "$status" -ne 0 ]
	[[ "$output" == *SERVFAIL* ]]
}

@test "filters, prune and events" {
	w network create --label keep=yes kept
	w network create --label tmp gone
	[ "$(w network ls -q --filter label=tmp | wc -l)" -eq 1 ]
	[ "$(w network ls --format '{{.Name}}' --filter driver=bridge --filter type=custom --filter dangling=true | sort | xargs)" = 'gone kept' ]
	[ "$(w network ls --format '{{.Name}}' --filter name=^kep --filter scope=local)" = kept ]
	run refused GET '/networks?filters=%7B%22type%22%3A%5B%22x%22%5D%7D'
	[[ "$output" == *"invalid filter: 'type'='x'"* ]]
	since=$(date +%s)
	w network prune -f --filter until=1h
	w network inspect gone >/dev/null
	w network prune -f --filter label!=keep
	run w network inspect gone
	[ "$status" -ne 0 ]
	w network inspect kept >/dev/null
	w events --since "$since" --until "$(($(date +%s) + 1))" --filter type=network --format '{{.Action}} {{.Actor.Attributes.name}}' | grep -x 'destroy gone'
	w network rm kept
}

@test "extra hosts, DNS options and host-gateway" {
	run w run --rm --add-host there:10.0.0.7 --add-host up:host-gateway --dns 192.0.2.53 --dns-search corp.example --dns-option ndots:3 bb cat /etc/hosts /etc/resolv.conf
	grep -q "^10.0.0.7	there" <<<"$output"
	grep -q "^$(w network inspect bridge -f '{{(index .IPAM.Config 0).Gateway}}')	up" <<<"$output"
	grep -q '^nameserver 192.0.2.53' <<<"$output"
	grep -q '^search corp.example' <<<"$output"
	grep -q '^options ndots:3' <<<"$output"
}

@test "a kept subnet that another link has meanwhile is told at the start" {
	local subnet
	w network create kept >/dev/null
	subnet=$(w network inspect -f '{{(index .IPAM.Config 0).Subnet}}' kept)
	daemon_signal TERM
	! grep -q subnet_shared "$DIR/daemon.log" || fail 'told without a reason'
	ip link add "wx$TAG" type bridge
	ip address add "${subnet%.*}.250/${subnet#*/}" dev "wx$TAG"
	daemon_start || { ip link del "wx$TAG"; false; }
	ip link del "wx$TAG"
	grep subnet_shared "$DIR/daemon.log" | grep kept | grep -q "wx$TAG" || fail "$(grep subnet "$DIR/daemon.log")"
	w network rm kept >/dev/null
}
