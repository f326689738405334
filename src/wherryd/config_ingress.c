#include "wherryd/config_ingress.h"

#include "ingress/settings.h"

int config_ingress_check(const json_t *merged, struct err *e)
{
	struct ingress_settings s;
	int r = ingress_settings_read(json_object_get(merged, "ingress"), "wherry", &s, e);
	ingress_settings_deinit(&s);
	return r;
}
