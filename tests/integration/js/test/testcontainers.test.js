// testcontainers as test writers use it: wait strategies, files, networks, commands, life cycle. Without its Ryuk container.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DockerComposeEnvironment, GenericContainer, Network, Wait, getContainerRuntimeClient } from "testcontainers";
import { IMAGE, all, eventually } from "./helper.js";

const PATIENCE_MS = 60_000;
const HTTPD = ["sh", "-c", "mkdir -p /www && echo page >/www/index.html && echo ready && exec httpd -f -p 8080 -h /www"];

const generic = (command) => new GenericContainer(IMAGE).withCommand(command).withStartupTimeout(PATIENCE_MS);

async function temporary(t) {
	const dir = await mkdtemp(join(tmpdir(), "wherry-tc-"));
	t.after(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

async function started(t, wanted) {
	const container = await wanted.start();
	t.after(() => container.stop().catch(() => {}));
	return container;
}

const page = async (container) => (await fetch(`http://${container.getHost()}:${container.getMappedPort(8080)}/`)).text();

test("the engine is recognised", async () => {
	const client = await getContainerRuntimeClient();
	assert.ok(client.info.containerRuntime.operatingSystem);
	assert.equal(client.info.containerRuntime.architecture, (await client.container.dockerode.info()).Architecture);
});

test("an exposed port answers; listening ports and http are waited for", async (t) => {
	const listening = await started(t, generic(HTTPD).withExposedPorts(8080).withWaitStrategy(Wait.forListeningPorts()));
	assert.equal(await page(listening), "page\n");
	const http = await started(t, generic(HTTPD).withExposedPorts(8080).withWaitStrategy(Wait.forHttp("/", 8080).forStatusCode(200)));
	assert.equal(await page(http), "page\n");
});

test("log messages and health are waited for, alone and together", async (t) => {
	await started(t, generic(HTTPD).withWaitStrategy(Wait.forLogMessage("ready")));
	const healthy = generic(["sh", "-c", "sleep 0.5; touch /ok; echo done; exec sleep 1000"])
		.withHealthCheck({ test: ["CMD-SHELL", "test -f /ok"], interval: 200, timeout: 5000, retries: 100, startPeriod: 0 })
		.withWaitStrategy(Wait.forAll([Wait.forHealthCheck(), Wait.forLogMessage(/done/, 1)]));
	await started(t, healthy);
	const once = generic(["sh", "-c", "exit 0"]).withWaitStrategy(Wait.forOneShotStartup());
	await started(t, once);
	const sick = generic(["sleep", "1000"])
		.withHealthCheck({ test: ["CMD-SHELL", "exit 1"], interval: 200, timeout: 5000, retries: 1 })
		.withWaitStrategy(Wait.forHealthCheck());
	await assert.rejects(sick.start(), /unhealthy/);
});

test("files, directories and content are copied in, archives out", async (t) => {
	const dir = await temporary(t);
	await writeFile(join(dir, "one"), "first\n");
	const container = await started(
		t,
		generic(["sh", "-c", "cat /in/one /text; echo ready; exec sleep 1000"])
			.withCopyFilesToContainer([{ source: join(dir, "one"), target: "/in/one", mode: 0o600 }])
			.withCopyDirectoriesToContainer([{ source: dir, target: "/tree" }])
			.withCopyContentToContainer([{ content: "second\n", target: "/text" }])
			.withWaitStrategy(Wait.forLogMessage("ready")),
	);
	const got = await container.exec(["cat", "/in/one", "/text", "/tree/one"]);
	assert.equal(got.output, "first\nsecond\nfirst\n");
	await container.copyContentToContainer([{ content: "third\n", target: "/later/text" }]);
	assert.equal((await container.exec("cat /later/text".split(" "))).output, "third\n");
	assert.ok((await all(await container.copyArchiveFromContainer("/later"))).includes("third\n"));
});

test("commands: output apart, exit codes, environment, user, directory", async (t) => {
	const container = await started(t, generic(["sleep", "1000"]).withEnvironment({ A: "1" }).withWorkingDir("/tmp").withUser("1000"));
	const got = await container.exec(["sh", "-c", "echo $A $B; id -u; pwd; echo err >&2; exit 4"], {
		env: { B: "2" },
		user: "0",
		workingDir: "/etc",
	});
	assert.deepEqual([got.exitCode, got.stdout, got.stderr], [4, "1 2\n0\n/etc\n", "err\n"]);
	assert.equal((await container.exec(["id", "-u"])).stdout, "1000\n");
});

test("containers find each other by alias on a network", async (t) => {
	const network = await new Network().start();
	const on = (command) => generic(command).withNetwork(network);
	const web = await started(t, on(HTTPD).withNetworkAliases("web").withWaitStrategy(Wait.forLogMessage("ready")));
	const client = await started(t, on(["sleep", "1000"]));
	t.after(() => network.stop().catch(() => {}));
	await eventually(async () => (await client.exec(["wget", "-q", "-O", "-", "http://web:8080/"])).output === "page\n", "web answers");
	await Promise.all([web.stop(), client.stop()]);
	await network.stop();
});

test("logs stream, restart, stop without removal, labels, tmpfs, limits", async (t) => {
	const container = await started(
		t,
		generic(["sh", "-c", "echo hello; exec sleep 1000"])
			.withLabels({ js: "tc" })
			.withTmpFs({ "/t": "rw,size=1m" })
			.withSharedMemorySize(8 << 20)
			.withAddedCapabilities("NET_ADMIN")
			.withUlimits({ nofile: { hard: 200, soft: 100 } })
			.withExtraHosts([{ host: "foo", ipAddress: "1.2.3.4" }])
			.withWaitStrategy(Wait.forLogMessage("hello")),
	);
	const stream = await container.logs();
	let seen = "";
	stream.on("data", (line) => (seen += line));
	await eventually(() => seen.includes("hello"), "the log is streamed");
	stream.destroy();
	const limits = await container.exec(["sh", "-c", "ulimit -n; df -k /t /dev/shm | awk 'NR>1 {print $2}'; grep foo /etc/hosts"]);
	assert.match(limits.output, /^100\n1024\n8192\n1\.2\.3\.4\s+foo\n$/);
	await container.restart();
	assert.equal((await container.exec(["true"])).exitCode, 0);
	const stopped = await container.stop({ remove: false, timeout: 0 });
	const client = await getContainerRuntimeClient();
	const again = client.container.getById(stopped.getId());
	assert.equal((await again.inspect()).State.Status, "exited");
	await again.remove({ force: true });
});

test("a container is used again when asked for", async (t) => {
	const one = () => generic(["sleep", "1000"]).withReuse().withName("js-reused");
	const first = await started(t, one());
	const second = await one().start();
	assert.equal(first.getId(), second.getId());
});

test("an image is built from a Dockerfile, and committed from a container", async (t) => {
	const dir = await temporary(t);
	await writeFile(join(dir, "Dockerfile"), `FROM ${IMAGE}\nARG WHO\nRUN echo $WHO >/who\nCMD ["sh", "-c", "cat /who; exec sleep 1000"]\n`);
	const image = await GenericContainer.fromDockerfile(dir).withBuildArgs({ WHO: "built" }).build("js-tc-built:1", { deleteOnExit: false });
	const container = await started(t, image.withStartupTimeout(PATIENCE_MS).withWaitStrategy(Wait.forLogMessage("built")));
	await container.exec(["sh", "-c", "echo changed >/who"]);
	const id = await container.commit({ repo: "js-tc-committed", tag: "1", deleteOnExit: false });
	assert.match(id, /^sha256:/);
	const committed = new GenericContainer("js-tc-committed:1").withStartupTimeout(PATIENCE_MS).withWaitStrategy(Wait.forLogMessage("changed"));
	await started(t, committed);
});

test("a compose project comes up and goes", { skip: !process.env.WITH_COMPOSE && "no docker CLI with compose" }, async (t) => {
	const dir = await temporary(t);
	await writeFile(
		join(dir, "compose.yaml"),
		`services:\n  web: {image: ${IMAGE}, init: true, command: ${JSON.stringify(HTTPD)}, ports: ["8080"]}\n`,
	);
	const project = await new DockerComposeEnvironment(dir, "compose.yaml").withStartupTimeout(PATIENCE_MS).up();
	t.after(() => project.down({ removeVolumes: true }).catch(() => {}));
	const web = project.getContainer("web-1");
	await eventually(async () => (await page(web).catch(() => "")) === "page\n", "the service answers");
	await project.down({ removeVolumes: true });
});
