/* ingress ca: the certificate that phones and computers trust this device with. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "wherry/commands.h"
#include "wherry/engine.h"
#include "wherry/flags.h"

/* Those that were asked for, of which there is at least one. */
static int print_authorities(const json_t *list, bool all, bool fingerprint, struct err *e)
{
	size_t i;
	json_t *o;
	if (json_array_size(list) == 0) {
		return err_set(e, ERR_NOT_FOUND,
			"there is no certificate authority yet: it is made when the first host is served");
	}
	json_array_foreach (list, i, o) {
		if (i == 0 || all) {
			printf("%s%s", json_str(o, fingerprint ? "Fingerprint" : "Pem"),
				fingerprint ? "\n" : "");
		}
	}
	return 0;
}

int command_ingress_ca(struct cli *cli, int argc, char **argv)
{
	bool all = false;
	bool fingerprint = false;
	const struct flag flags[] = {
		{"all", 'a', FLAG_BOOL, &all, NULL,
			"Also the one that signs for hosts outside of the local network's names"},
		{"fingerprint", 0, FLAG_BOOL, &fingerprint, NULL,
			"Print the SHA-256 instead, as browsers show it"},
		{0},
	};
	const struct syntax s = {"ingress ca", "[OPTIONS]",
		"Print the certificate of the authority that signs for this device", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(json) json_t *doc = NULL;
	if (engine_json(cli, "GET", "/wherry/v1/ingress", NULL, &doc, &e) < 0 ||
		print_authorities(json_object_get(doc, "Authorities"), all, fingerprint, &e) < 0) {
		return cli_fail(&e);
	}
	return 0;
}
