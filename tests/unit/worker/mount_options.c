/* What "o" of a volume becomes: flags for mount(2), the rest for the filesystem. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "worker/mount_options.h"

static void flags_and_data_are_told_apart(void **state)
{
	static const struct {
		const char *text;
		unsigned long flags, propagation;
		const char *data;
	} cases[] = {{"", 0, 0, ""}, {"size=1m,ro,mode=700", MS_RDONLY, 0, "size=1m,mode=700"},
		{"bind", MS_BIND, 0, ""}, {"rbind,ro,rw", MS_BIND | MS_REC, 0, ""},
		{"nosuid,nodev,suid,defaults,,x", MS_NODEV, 0, "x"},
		{"rslave,noatime", MS_NOATIME, MS_SLAVE | MS_REC, ""},
		{"addr=10.0.0.1,rw,nfsvers=4", 0, 0, "addr=10.0.0.1,nfsvers=4"},
		{"password=a,,b,ro", MS_RDONLY, 0, "password=a,,b"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mount_options o;
		mount_options_parse(cases[i].text, &o);
		assert_int_equal(o.flags, cases[i].flags);
		assert_int_equal(o.propagation, cases[i].propagation);
		assert_string_equal(buf_str(&o.data), cases[i].data);
		mount_options_deinit(&o);
	}
}

static void the_address_is_found(void **state)
{
	scoped(free) char *some = mount_options_address("vers=4,addr=nas.lan,ro");
	scoped(free) char *none = mount_options_address("vers=4,ipaddr=nas");
	assert_string_equal(some, "nas.lan");
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_and_data_are_told_apart),
		cmocka_unit_test(the_address_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
