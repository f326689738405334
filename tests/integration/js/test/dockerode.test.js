// dockerode as its users have it: streams with and without hijacking, archives, builds, errors by status code.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import Docker from "dockerode";
import tar from "tar-fs";
import { IMAGE, all, eventually, sink } from "./helper.js";

const docker = new Docker();
let sleeper;
let dir;

before(async () => {
	dir = await mkdtemp(join(tmpdir(), "wherry-js-"));
	sleeper = await docker.createContainer({
		name: "js-sleeper",
		Image: IMAGE,
		Cmd: ["sleep", "1000"],
		HostConfig: { Init: true },
	});
	await sleeper.start();
});

after(async () => {
	await sleeper?.remove({ force: true, v: true });
	await rm(dir, { recursive: true, force: true });
});

// A container that is gone at the end of the test, however that goes.
async function container(t, options) {
	const made = await docker.createContainer({ Image: IMAGE, ...options });
	t.after(() => made.remove({ force: true, v: true }).catch(() => {}));
	return made;
}

test("run gives output and exit code, stdout and stderr apart", async () => {
	const [out, err] = [sink(), sink()];
	const [result, made] = await docker.run(IMAGE, ["sh", "-c", "echo out; echo err >&2; exit 7"], [out, err], { Tty: false });
	await made.remove();
	assert.equal(result.StatusCode, 7);
	assert.equal(out.text(), "out\n");
	assert.equal(err.text(), "err\n");
});

test("an attach carries stdin when hijacked, and output without hijacking too", async (t) => {
	for (const hijack of [true, false]) {
		const command = hijack ? ["cat"] : ["sh", "-c", "echo line one; echo line two"];
		const made = await container(t, { Cmd: command, OpenStdin: hijack, StdinOnce: hijack, AttachStdin: hijack });
		const stream = await made.attach({ stream: true, stdin: hijack, stdout: true, stderr: true, hijack });
		const out = sink();
		docker.modem.demuxStream(stream, out, out);
		await made.start();
		if (hijack) {
			stream.write("line one\n");
			stream.end("line two\n");
		}
		assert.equal((await made.wait()).StatusCode, 0);
		await eventually(() => out.text() === "line one\nline two\n", `the output comes, hijacked: ${hijack}`);
	}
});

test("a terminal has its size and carries bytes as they are", async (t) => {
	const made = await container(t, { Cmd: ["sh", "-c", "read x; stty size; echo got $x"], Tty: true, OpenStdin: true, AttachStdin: true });
	const stream = await made.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
	const out = sink();
	stream.pipe(out);
	await made.start();
	await made.resize({ h: 33, w: 77 });
	stream.write("hello\n");
	await made.wait();
	await eventually(() => out.text().includes("got hello"), "the line comes back");
	assert.match(out.text(), /33 77/);
});

test("exec: output, exit code, stdin, a missing command, a stopped container", async (t) => {
	const run = async (options, input) => {
		const exec = await sleeper.exec({ AttachStdout: true, AttachStderr: true, ...options });
		const stream = await exec.start(input === undefined ? {} : { hijack: true, stdin: true });
		const [out, err] = [sink(), sink()];
		docker.modem.demuxStream(stream, out, err);
		if (input !== undefined) {
			stream.end(input);
		}
		await once(stream, "end");
		return [(await exec.inspect()).ExitCode, out.text(), err.text()];
	};
	assert.deepEqual(await run({ Cmd: ["sh", "-c", "echo o; echo e >&2; exit 3"] }), [3, "o\n", "e\n"]);
	assert.deepEqual(await run({ Cmd: ["cat"], AttachStdin: true }, "typed"), [0, "typed", ""]);
	assert.deepEqual(await run({ Cmd: ["env"], Env: ["ONLY=this"] }).then(([code, out]) => [code, out.includes("ONLY=this")]), [0, true]);
	const [code] = await run({ Cmd: ["/nope"] });
	assert.ok(code === 126 || code === 127, `exit code ${code}`);
	const idle = await container(t, { Cmd: ["true"] });
	await assert.rejects(idle.exec({ Cmd: ["true"] }), (e) => e.statusCode === 409);
});

test("logs: whole, tail, timestamps, followed to the end", async (t) => {
	const made = await container(t, { Cmd: ["sh", "-c", "for i in 1 2 3; do echo line $i; done; read x; echo after"], OpenStdin: true });
	await made.start();
	await eventually(async () => (await made.logs({ stdout: true })).includes("line 3"), "three lines");
	const tail = (await made.logs({ stdout: true, stderr: true, tail: 1, timestamps: true })).subarray(8).toString();
	assert.match(tail, /^\d{4}-\d\d-\d\dT[0-9:.]+Z line 3\n$/);
	const follow = await made.logs({ stdout: true, follow: true });
	const out = sink();
	docker.modem.demuxStream(follow, out, out);
	const input = await made.attach({ stream: true, stdin: true, hijack: true });
	input.end("go on\n");
	await once(follow, "end");
	assert.equal(out.text(), "line 1\nline 2\nline 3\nafter\n");
});

test("inspect, list with filters, top, stats, rename, pause, update", async (t) => {
	const made = await container(t, { name: "js-facts", Cmd: ["sleep", "1000"], Labels: { js: "facts" }, HostConfig: { Init: true } });
	await made.start();
	const listed = await docker.listContainers({ filters: { label: ["js=facts"], status: ["running"] } });
	assert.deepEqual(listed.map((c) => c.Names), [["/js-facts"]]);
	const top = await made.top({ ps_args: "-o pid,args" });
	assert.ok(top.Processes.some((p) => p.join(" ").includes("sleep 1000")));
	const stats = await made.stats({ stream: false });
	assert.equal(stats.name, "/js-facts");
	assert.ok(stats.cpu_stats.cpu_usage.total_usage >= 0);
	await made.rename({ name: "js-renamed" });
	await made.pause();
	assert.equal((await made.inspect()).State.Status, "paused");
	await made.unpause();
	await made.update({ RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 } });
	const facts = await made.inspect();
	assert.equal(facts.Name, "/js-renamed");
	assert.equal(facts.HostConfig.RestartPolicy.MaximumRetryCount, 3);
});

test("errors have dockerd's status codes", async (t) => {
	const status = (code) => (e) => e.statusCode === code || assert.fail(`${e.statusCode}: ${e.message}`);
	await assert.rejects(docker.getContainer("js-nobody").inspect(), status(404));
	await assert.rejects(docker.createContainer({ Image: "js-no-such-image" }), status(404));
	await assert.rejects(docker.createContainer({ Image: IMAGE, name: "js-sleeper" }), status(409));
	await assert.rejects(sleeper.start(), status(304));
	await assert.rejects(sleeper.remove(), status(409));
	await assert.rejects(docker.createContainer({ Image: IMAGE, name: "not a name" }), status(400));
	const made = await container(t, { Cmd: ["/nope"] });
	await assert.rejects(made.start(), status(400));
	await assert.rejects(made.stop(), status(304));
	await assert.rejects(made.kill(), status(409));
});

test("archives: put, inspect, get, export, changes, commit", async (t) => {
	await writeFile(join(dir, "file"), "content\n", { mode: 0o640 });
	const made = await container(t, { Cmd: ["sh", "-c", "cat /etc/file; rm /etc/passwd"] });
	await made.putArchive(tar.pack(dir, { entries: ["file"] }), { path: "/etc" });
	const head = await made.infoArchive({ path: "/etc/file" });
	head.resume(); // or the connection keeps this process
	const stat = JSON.parse(Buffer.from(head.headers["x-docker-container-path-stat"], "base64").toString());
	assert.deepEqual([stat.name, stat.size, stat.mode], ["file", 8, 0o640]);
	assert.ok((await all(await made.getArchive({ path: "/etc/file" }))).includes("content\n"));
	await assert.rejects(made.getArchive({ path: "/nope" }), (e) => e.statusCode === 404);
	await made.start();
	await made.wait();
	assert.equal((await made.logs({ stdout: true })).subarray(8).toString(), "content\n");
	const changes = (await made.changes()).map((c) => `${c.Kind} ${c.Path}`);
	assert.ok(changes.includes("1 /etc/file") && changes.includes("2 /etc/passwd"), changes.join(", "));
	assert.ok((await all(await made.export())).includes("content\n"));
	const image = await made.commit({ repo: "js-committed", changes: 'CMD ["cat", "/etc/file"]' });
	t.after(() => docker.getImage("js-committed").remove({ force: true }));
	assert.equal((await docker.getImage("js-committed").inspect()).Id, image.Id);
	const out = sink();
	const [, ran] = await docker.run("js-committed", [], out);
	await ran.remove();
	assert.equal(out.text(), "content\r\n");
});

test("networks: addresses, aliases, connect and disconnect a running container", async (t) => {
	const network = await docker.createNetwork({ Name: "js-net", CheckDuplicate: true, Labels: { js: "net" } });
	t.after(() => network.remove());
	await network.connect({ Container: sleeper.id, EndpointConfig: { Aliases: ["js-alias"] } });
	const { Containers } = await network.inspect();
	assert.equal(Containers[sleeper.id].Name, "js-sleeper");
	const out = sink();
	const [result, made] = await docker.run(IMAGE, ["sh", "-c", "nslookup js-alias && nslookup js-sleeper"], out, { HostConfig: { NetworkMode: "js-net" } });
	await made.remove();
	assert.equal(result.StatusCode, 0, out.text());
	assert.deepEqual((await docker.listNetworks({ filters: { label: ["js=net"] } })).map((n) => n.Name), ["js-net"]);
	await assert.rejects(network.remove(), (e) => e.statusCode === 403);
	await network.disconnect({ Container: sleeper.id });
});

test("volumes: create, use, refuse to remove what is used, prune", async (t) => {
	const volume = await docker.createVolume({ Name: "js-volume", Labels: { js: "volume" } });
	const made = await container(t, { Cmd: ["sh", "-c", "echo kept >/v/f"], HostConfig: { Binds: ["js-volume:/v"] } });
	await made.start();
	await made.wait();
	await assert.rejects(docker.getVolume("js-volume").remove(), (e) => e.statusCode === 409);
	await made.remove();
	const { Volumes } = await docker.listVolumes({ filters: { label: ["js=volume"] } });
	assert.equal(Volumes.length, 1);
	const pruned = await docker.pruneVolumes({ filters: { label: ["js=volume"], all: ["true"] } });
	assert.deepEqual(pruned.VolumesDeleted, ["js-volume"]);
	await assert.rejects(docker.getVolume("js-volume").inspect(), (e) => e.statusCode === 404);
	assert.equal(volume.name ?? volume.Name, "js-volume");
});

test("a build from a context, with progress, an argument and a failure", async (t) => {
	await writeFile(join(dir, "Dockerfile"), `FROM ${IMAGE}\nARG WHO=nobody\nRUN echo $WHO >/who\nCMD ["cat", "/who"]\n`);
	await writeFile(join(dir, "Broken"), `FROM ${IMAGE}\nRUN exit 9\n`);
	const build = async (options) => {
		const stream = await docker.buildImage({ context: dir, src: ["Dockerfile", "Broken"] }, { t: "js-built", ...options });
		return new Promise((resolve, reject) => docker.modem.followProgress(stream, (e, lines) => (e ? reject(e) : resolve(lines))));
	};
	const lines = await build({ buildargs: { WHO: "somebody" } });
	t.after(() => docker.getImage("js-built").remove({ force: true }));
	assert.ok(lines.some((l) => /^Successfully built/.test(l.stream ?? "")));
	const out = sink();
	const [, made] = await docker.run("js-built", [], out, { Tty: false });
	await made.remove();
	assert.match(out.text(), /somebody/);
	const failed = (await build({ dockerfile: "Broken" })).at(-1);
	assert.match(failed.error, /returned a non-zero code: 9/);
	assert.equal(failed.errorDetail.code, 9);
});

test("events tell what happened, live and from the past", async (t) => {
	const since = Math.floor(Date.now() / 1000) - 1;
	const live = await docker.getEvents({ filters: { type: ["container"], label: ["js=events"] } });
	t.after(() => live.destroy());
	const seen = sink();
	live.pipe(seen);
	const made = await container(t, { Cmd: ["true"], Labels: { js: "events" } });
	await made.start();
	await made.wait();
	await made.remove();
	await eventually(() => seen.text().includes('"destroy"'), "the end is told");
	const past = await all(await docker.getEvents({ since, until: Math.floor(Date.now() / 1000) + 1, filters: { container: [made.id] } }));
	const actions = past.toString().trim().split("\n").map((l) => JSON.parse(l).Action);
	assert.deepEqual(actions, ["create", "start", "die", "destroy"]);
});
