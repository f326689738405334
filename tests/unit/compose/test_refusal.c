/* What a file may say and no engine of ours can do: config prints it, a start refuses it with its
 * place. */
#include "files.h"

#include "compose/refusal.h"

static void refuses(const char *service, bool own_engine, const char *message)
{
	struct err e = {0};
	scoped(buf) struct buf text = BUF_INIT;
	buf_printf(&text,
		"services:\n  a: {image: x, %s}\n"
		"configs: {c: {external: true}, v: {environment: UNSET}}\nsecrets: {s: {external: true}}\n"
		"models: {m: {model: ai/x}}\nvolumes: {k: }\n",
		service);
	const struct file files[] = {{"/p/compose.yaml", buf_str(&text)}, {0}};
	const struct setting s = {.files = files, .only_show = true};
	scoped(project_free) struct project *p = load_setting(&s, &e);
	assert_string_equal(e.msg, "");
	int r = service_check_startable(&p->services[0], own_engine, &e);
	assert_int_equal(r, message ? -1 : 0);
	if (message && !strstr(e.msg, message)) {
		print_error("%s\n said: %s\n", service, e.msg);
	}
	assert_true(!message || strstr(e.msg, message));
}

static void what_cannot_be_started_is_refused_at_its_place(void **state)
{
	refuses("restart: always", true, NULL);
	refuses("provider: {type: x}", true,
		"compose.yaml:2:27: service \"a\": provider is not supported");
	refuses("models: [m]", true, "service \"a\": models are not supported");
	refuses("credential_spec: {file: x}", true, "credential_spec is for Windows containers");
	refuses("isolation: hyperv", true,
		"compose.yaml:2:28: service \"a\": isolation \"hyperv\"");
	refuses("isolation: default", true, NULL);
	refuses("volumes: [{type: npipe, source: x, target: /x}]", true,
		"compose.yaml:2:27: service \"a\": a mount of type npipe is for Windows");
	refuses("volumes: [{type: cluster, source: k, target: /x}]", true,
		"a mount of type cluster is Swarm's");
	refuses("configs: [c]", true, "compose.yaml:2:27: unsupported external config c");
	refuses("secrets: [s]", true, "compose.yaml:2:27: unsupported external secret s");
	refuses("configs: [v]", true, "config \"v\" comes from is not set");
}

static void devices_by_request_are_refused_only_by_our_engine(void **state)
{
	static const char *const services[] = {"gpus: all", "devices: ['vendor.com/gpu=all']",
		"deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}"};
	for (size_t i = 0; i < 3; i++) {
		refuses(services[i], true,
			"not supported by this engine; name the nodes in devices");
		refuses(services[i], false, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_started_is_refused_at_its_place),
		cmocka_unit_test(devices_by_request_are_refused_only_by_our_engine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
