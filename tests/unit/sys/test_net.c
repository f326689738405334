/* netns, rtnl, nft and conntrack against the kernel, in a network namespace of its own; needs root.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "sys/conntrack.h"
#include "sys/netns.h"
#include "sys/nft.h"
#include "sys/rtnl.h"

#define SKIP 77

static int find_link(void *owner, const struct rtnl_link *link)
{
	struct rtnl_link *want = owner;
	if (strcmp(link->name, want->name) == 0) {
		*want = *link;
		return 7;
	}
	return 0;
}

static void bridge_has_name_alias_and_address(void **state)
{
	scoped(rtnl) struct rtnl r;
	struct rtnl_link link = {.name = "br-test"};
	const uint8_t mac[6] = {2, 0x42, 1, 2, 3, 4};
	uint32_t index;
	assert_int_equal(rtnl_open(&r, -1), 0);
	assert_int_equal(rtnl_index(&r, "br-test", &index), -ENODEV);

	rtnl_add_bridge(&r, "br-test", mac, "ours: x");
	assert_int_equal(rtnl_commit(&r), 0);

	assert_int_equal(rtnl_each_link(&r, find_link, &link), 7);
	assert_string_equal(link.kind, "bridge");
	assert_string_equal(link.alias, "ours: x");
	assert_true(link.up);
	assert_int_equal(rtnl_index(&r, "br-test", &index), 0);
	assert_int_equal(index, link.index);
	rtnl_add_bridge(&r, "br-test", NULL, NULL);
	assert_int_equal(rtnl_commit(&r), -EEXIST);
	rtnl_set_mtu(&r, index, 1400);
	rtnl_delete_link(&r, "br-test");
	assert_int_equal(rtnl_commit(&r), 0);
	rtnl_delete_link(&r, "br-test");
	assert_int_equal(rtnl_commit(&r), -ENODEV);
}

static void first_failure_of_a_batch_is_the_result(void **state)
{
	scoped(rtnl) struct rtnl r;
	uint32_t index;
	assert_int_equal(rtnl_open(&r, -1), 0);
	rtnl_add_bridge(&r, "a", NULL, NULL);
	rtnl_delete_link(&r, "nowhere");
	rtnl_add_bridge(&r, "b", NULL, NULL);

	assert_int_equal(rtnl_commit(&r), -ENODEV);

	assert_int_equal(rtnl_index(&r, "b", &index), 0);
	rtnl_delete_link(&r, "a");
	rtnl_delete_link(&r, "b");
	assert_int_equal(rtnl_commit(&r), 0);
	assert_int_equal(rtnl_commit(&r), 0);
	while (rtnl_set_up(&r, 1, true) == 0) { /* a full batch says so */
	}
	assert_int_equal(rtnl_set_up(&r, 1, true), -ENOBUFS);
}

static void pair_reaches_into_another_namespace(void **state)
{
	scoped(close) int other = netns_new();
	scoped(rtnl) struct rtnl r;
	scoped(rtnl) struct rtnl inside;
	uint32_t index;
	assert_true(other >= 0);
	assert_int_equal(rtnl_open(&r, -1), 0);
	assert_int_equal(rtnl_open(&inside, other), 0);
	const struct rtnl_veth v = {
		.name = "out", .peer_name = "in", .peer_netns_fd = other, .mtu = 1400};

	rtnl_add_veth(&r, &v);

	assert_int_equal(rtnl_commit(&r), 0);
	assert_int_equal(rtnl_index(&r, "out", &index), 0);
	assert_int_equal(rtnl_index(&r, "in", &index), -ENODEV);
	assert_int_equal(rtnl_index(&inside, "in", &index), 0);
	struct ip a = ip_of4(0x0a000001);
	rtnl_set_up(&inside, index, true);
	rtnl_add_address(&inside, index, a, 24);
	assert_int_equal(rtnl_commit(&inside), 0);
	a = ip_of4(0x0a000002);
	rtnl_add_default_route(&inside, index, a);
	rtnl_add_default_route(&inside, index, a); /* replaces itself */
	assert_int_equal(rtnl_commit(&inside), 0);
	rtnl_delete_link(&r, "out");
	assert_int_equal(rtnl_commit(&r), 0);
	assert_int_equal(rtnl_index(&inside, "in", &index), -ENODEV); /* both ends go */
}

static void note(void *owner, const struct nft_element *e)
{
	uint32_t *sum = owner;
	*sum += *(const uint32_t *)e->key + (e->data ? *(const uint32_t *)e->data : 0);
}

static void transactions_are_whole_or_nothing(void **state)
{
	static const struct nft_set map = {"m", NFT_TYPE_IPV4, 4, NFT_TYPE_IPV4, 4};
	scoped(close) int fd = nft_open(-1);
	scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT(NFPROTO_INET);
	uint32_t key = 1;
	uint32_t data = 10;
	uint32_t absent = 5;
	uint32_t sum = 0;
	const struct nft_element one = {&key, 4, &data, 4};
	const struct nft_element two = {&absent, 4, &data, 4};
	assert_true(fd >= 0);
	assert_int_equal(nft_each_element(fd, NFPROTO_INET, "t", "m", note, &sum), -ENOENT);
	nft_add_table(&b, "t");
	nft_add_set(&b, "t", &map);
	nft_add_element(&b, "t", "m", &one);
	assert_int_equal(nft_commit(fd, &b), 0);

	nft_delete_element(&b, "t", "m", &one);
	nft_delete_element(&b, "t", "m", &two); /* absent */

	assert_int_equal(nft_commit(fd, &b), -ENOENT);
	assert_int_equal(nft_each_element(fd, NFPROTO_INET, "t", "m", note, &sum), 0);
	assert_int_equal(sum, 11);
	nft_delete_element(&b, "t", "m", &one);
	assert_int_equal(nft_commit(fd, &b), 0);
	nft_delete_table(&b, "t");
	assert_int_equal(nft_commit(fd, &b), 0);
	nft_delete_table(&b, "t"); /* absent is fine */
	assert_int_equal(nft_commit(fd, &b), 0);
}

static int refuse(void *owner)
{
	return -*(int *)owner;
}

static void visits_come_back(void **state)
{
	scoped(close) int other = netns_new();
	int value = 42;
	char before[64] = "";
	char after[64] = "";
	assert_true(readlink("/proc/thread-self/ns/net", before, sizeof(before) - 1) > 0);
	assert_int_equal(netns_run(other, refuse, &value), -42);
	assert_int_equal(netns_run(-1, refuse, &value), -EBADF);
	assert_true(readlink("/proc/thread-self/ns/net", after, sizeof(after) - 1) > 0);
	assert_string_equal(before, after);
	assert_int_equal(netns_sysctl("ipv4/no_such_thing", "1"), -ENOENT);
}

static bool match_all(const void *owner, uint8_t proto, struct ip address, uint16_t port)
{
	return true;
}

static void forgetting_nothing_is_fine(void **state)
{
	assert_int_equal(conntrack_forget(match_all, NULL), 0);
}

int main(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "needs root\n");
		return SKIP;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bridge_has_name_alias_and_address),
		cmocka_unit_test(first_failure_of_a_batch_is_the_result),
		cmocka_unit_test(pair_reaches_into_another_namespace),
		cmocka_unit_test(transactions_are_whole_or_nothing),
		cmocka_unit_test(visits_come_back),
		cmocka_unit_test(forgetting_nothing_is_fine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
