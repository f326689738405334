/* Names for containers whose user gave none: an adjective and somebody who built machines or the
 * science behind them. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "container/internal.h"

static const char *const adjectives[] = {"able", "amber", "blithe", "bold", "brave", "bright",
	"brisk", "calm", "candid", "clever", "cosy", "daring", "deft", "eager", "early", "fair",
	"fleet", "fond", "frank", "gentle", "glad", "golden", "hardy", "hearty", "honest", "humble",
	"jolly", "keen", "kind", "lively", "lucid", "lucky", "mellow", "merry", "mild", "modest",
	"nimble", "noble", "patient", "placid", "plucky", "polite", "proud", "prudent", "quick",
	"quiet", "ready", "rosy", "serene", "sharp", "silent", "sincere", "sober", "spry", "stable",
	"steady", "stout", "sturdy", "sunny", "swift", "tender", "tidy", "trusty", "upbeat",
	"vivid", "warm", "wise", "witty", "zesty"};

static const char *const surnames[] = {"ada", "aiken", "babbage", "backus", "bardeen", "barbara",
	"bohr", "boole", "bose", "brattain", "carson", "cerf", "chandra", "church", "clarke",
	"curie", "darwin", "diffie", "dijkstra", "edison", "engelbart", "euler", "faraday",
	"fermat", "fermi", "feynman", "floyd", "franklin", "galileo", "gauss", "goodall",
	"hamilton", "hamming", "hawking", "hellman", "hertz", "hoare", "hooke", "hopper", "huffman",
	"hypatia", "jacquard", "joliot", "kahan", "kepler", "kernighan", "kilby", "knuth", "lamarr",
	"lamport", "leibniz", "liskov", "lovelace", "maxwell", "mccarthy", "meitner", "mendel",
	"metcalfe", "napier", "naur", "newton", "noether", "noyce", "pascal", "perlman", "planck",
	"postel", "ritchie", "shannon", "shockley", "stallman", "tesla", "thompson", "torvalds",
	"turing", "volta", "watt", "wilkes", "wirth", "wozniak", "zuse"};

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

void container_name_random(char *ret, size_t n)
{
	unsigned r[2] = {0};
	if (getrandom(r, sizeof(r), 0) < 0) {
		r[0] = r[1] = 0; /* the caller tries again with a number when the name is taken */
	}
	snprintf(ret, n, "%s_%s", adjectives[r[0] % COUNT(adjectives)],
		surnames[r[1] % COUNT(surnames)]);
}

/* moby names.RestrictedNamePattern: [a-zA-Z0-9][a-zA-Z0-9_.-]+, of any length. Kubernetes makes
 * them of up to four names of its own: k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT, 430 characters. */
#define NAME_MAX_LEN 1024

bool container_name_is_valid(const char *name)
{
	static const char first[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char more[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t n = strlen(name);
	return n >= 2 && n <= NAME_MAX_LEN && strchr(first, name[0]) && strspn(name, more) == n;
}

int container_name_check(const struct container_set *s, const char *name, struct err *e)
{
	const char *bare = *name == '/' ? name + 1 : name;
	if (!container_name_is_valid(bare)) {
		return err_set(e, ERR_INVALID,
			"Invalid container name (%.200s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
			name);
	}
	const struct container *other = map_get(s->by_name, bare);
	if (other) {
		return err_set(e, ERR_CONFLICT,
			"Conflict. The container name \"/%s\" is already in use by container \"%s\". You have to "
			"remove (or rename) that container to be able to reuse that name.",
			bare, other->id);
	}
	return 0;
}
