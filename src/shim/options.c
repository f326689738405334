/* The arguments of the shim, as container/run.c and container/runtime.c write them. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "shim/shim.h"

enum {
	O_ID = 1,
	O_DIR,
	O_CRUN,
	O_CRUN_ROOT,
	O_CGROUP,
	O_LAYERS,
	O_LOWER,
	O_UPPER,
	O_WORK,
	O_LOG,
	O_LOG_SIZE,
	O_LOG_FILES,
	O_LOG_FORMAT,
	O_LOG_COMPRESSOR,
	O_LOG_EXTRA,
	O_LOG_BUFFER,
	O_LET_GO,
	O_EXEC,
	O_NETNS,
	O_PIN,
	O_PIN_ROOT,
	O_PIN_PATH,
	O_PIN_PID,
	O_PIN_LOWER,
	O_RUNTIME_ARG,
	O_TTY,
	O_STDIN,
	O_PARENT
};

static enum log_format log_format(const char *word)
{
	return strcmp(word, "local") == 0      ? LOG_FORMAT_LOCAL
	       : strcmp(word, "journald") == 0 ? LOG_FORMAT_JOURNAL
					       : LOG_FORMAT_JSON;
}

/* --pin=NAME begins one, --pin-root, --pin-path and --pin-pid say what it is. */
static int read_pin(struct shim_options *o, int opt, const char *value)
{
	static struct shim_pin pins[SHIM_PINS_MAX];
	if (opt == O_PIN && o->n_pins < SHIM_PINS_MAX) {
		o->pins = pins;
		pins[o->n_pins++] = (struct shim_pin){value, NULL, "/", "", 0, -1};
		return 0;
	}
	if (opt == O_PIN || o->n_pins == 0) {
		return -1;
	}
	struct shim_pin *p = &pins[o->n_pins - 1];
	if (opt == O_PIN_LOWER) {
		p->lower = value;
	} else if (opt == O_PIN_ROOT) {
		p->root = value;
	} else if (opt == O_PIN_PATH) {
		p->path = value;
	} else {
		p->pid = (pid_t)strtol(value, NULL, 10);
	}
	return 0;
}

int shim_options_read(struct shim_options *o, int argc, char **argv)
{
	static const struct option longs[] = {{"id", 1, NULL, O_ID}, {"dir", 1, NULL, O_DIR},
		{"crun", 1, NULL, O_CRUN}, {"crun-root", 1, NULL, O_CRUN_ROOT},
		{"cgroup", 1, NULL, O_CGROUP}, {"layers", 1, NULL, O_LAYERS},
		{"lower", 1, NULL, O_LOWER}, {"upper", 1, NULL, O_UPPER}, {"work", 1, NULL, O_WORK},
		{"log", 1, NULL, O_LOG}, {"log-size", 1, NULL, O_LOG_SIZE},
		{"log-files", 1, NULL, O_LOG_FILES}, {"log-format", 1, NULL, O_LOG_FORMAT},
		{"log-compressor", 1, NULL, O_LOG_COMPRESSOR}, {"log-extra", 1, NULL, O_LOG_EXTRA},
		{"log-buffer", 1, NULL, O_LOG_BUFFER}, {"let-go", 1, NULL, O_LET_GO},
		{"exec", 1, NULL, O_EXEC}, {"netns", 0, NULL, O_NETNS}, {"pin", 1, NULL, O_PIN},
		{"pin-root", 1, NULL, O_PIN_ROOT}, {"pin-path", 1, NULL, O_PIN_PATH},
		{"pin-pid", 1, NULL, O_PIN_PID}, {"pin-lower", 1, NULL, O_PIN_LOWER},
		{"runtime-arg", 1, NULL, O_RUNTIME_ARG}, {"tty", 0, NULL, O_TTY},
		{"stdin", 0, NULL, O_STDIN}, {"parent", 1, NULL, O_PARENT}, {NULL, 0, NULL, 0}};
	const char **texts[] = {[O_ID] = &o->id,
		[O_DIR] = &o->dir,
		[O_CRUN] = &o->crun,
		[O_CRUN_ROOT] = &o->crun_root,
		[O_CGROUP] = &o->cgroup,
		[O_LAYERS] = &o->layers,
		[O_LOWER] = &o->lower,
		[O_UPPER] = &o->upper,
		[O_WORK] = &o->work,
		[O_LOG] = &o->log.path,
		[O_LOG_COMPRESSOR] = &o->log.compressor,
		[O_LOG_EXTRA] = &o->log.extra,
		[O_EXEC] = &o->exec};
	*o = (struct shim_options){.log.files = 1};
	int opt;
	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (opt) {
		case O_LOG_SIZE:
			o->log.max_bytes = strtoll(optarg, NULL, 10);
			break;
		case O_LOG_FILES:
			o->log.files = (int)strtol(optarg, NULL, 10);
			break;
		case O_LOG_FORMAT:
			o->log.format = log_format(optarg);
			break;
		case O_LET_GO: /* beyond the table they are kept as long as we are */
			if (o->n_let_go < SHIM_LET_GO_MAX) {
				o->let_go[o->n_let_go++] = optarg;
			}
			break;
		case O_LOG_BUFFER:
			o->log.buffer_bytes = strtoll(optarg, NULL, 10);
			break;
		case O_PARENT:
			o->parent = (pid_t)strtol(optarg, NULL, 10);
			break;
		case O_NETNS:
			o->new_netns = true;
			break;
		case O_PIN:
		case O_PIN_ROOT:
		case O_PIN_PATH:
		case O_PIN_PID:
		case O_PIN_LOWER:
			if (read_pin(o, opt, optarg) < 0) {
				return -1;
			}
			break;
		case O_RUNTIME_ARG:
			if (o->n_runtime_args == SHIM_RUNTIME_ARGS_MAX) {
				return -1;
			}
			o->runtime_args[o->n_runtime_args++] = optarg;
			break;
		case O_TTY:
			o->tty = true;
			break;
		case O_STDIN:
			o->open_stdin = true;
			break;
		case '?':
			return -1;
		default:
			*texts[opt] = optarg;
		}
	}
	return o->id && o->dir && o->crun && o->crun_root ? 0 : -1;
}
