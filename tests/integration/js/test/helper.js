// What both test files share: the engine under test is the one that DOCKER_HOST names.
import { Writable } from "node:stream";

export const IMAGE = process.env.IMAGE ?? "bb";

// A stream that keeps what was written to it.
export function sink() {
	const chunks = [];
	const stream = new Writable({
		write(chunk, _, done) {
			chunks.push(chunk);
			done();
		},
	});
	stream.text = () => Buffer.concat(chunks).toString();
	return stream;
}

export async function all(stream) {
	const chunks = [];
	for await (const chunk of stream) {
		chunks.push(chunk);
	}
	return Buffer.concat(chunks);
}

// Waits until fn gives something true; the engine decides how long that takes, not this file.
export async function eventually(fn, what = fn.toString()) {
	const end = Date.now() + 30_000;
	for (;;) {
		const value = await fn();
		if (value) {
			return value;
		}
		if (Date.now() > end) {
			throw new Error(`never true: ${what}`);
		}
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
}
