/* The value of a label wherry.device.NAME: a rule that is taken stays below /dev. */
#include "device/rule.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "device/device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct device d = {
#define X(member, name) .member = "",
		DEVICE_TEXTS(X)
#undef X
	};
	struct device some = d;
	struct err e = {0};
	scoped(free) char *text = xstrndup((const char *)data, size);
	scoped(device_rule_free) struct device_rule *r = device_rule_parse("x", text, &e);
	assert(r || (e.kind == ERR_INVALID && *e.msg));
	if (r) {
		some.node = "/dev/ttyUSB0";
		some.sysfs = "/devices/x/ttyUSB0";
		scoped(free) char *target = device_rule_target(r, &some);
		assert(strncmp(target, "/dev/", 5) == 0 && !strstr(target, "/../"));
		(void)device_rule_matches(r, &some);
	}
	return 0;
}
