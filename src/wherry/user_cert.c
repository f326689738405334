/* user cert: a certificate for the remote API, as files that DOCKER_CERT_PATH and docker's contexts
 * take: ca.pem, cert.pem, key.pem. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "wherry/engine.h"
#include "wherry/flags.h"

static int open_dir(const char *path, int *ret_fd, struct err *e)
{
	int r = path_mkdirs(path, 0700);
	int fd = r < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return err_sys(e, r < 0 ? -r : errno, "cannot make %s", path);
	}
	*ret_fd = fd;
	return 0;
}

static int write_files(int dir_fd, const json_t *made, struct err *e)
{
	static const struct {
		const char *name, *member;
		mode_t mode;
	} files[] = {{"key.pem", "key", 0600}, {"cert.pem", "cert", 0644}, {"ca.pem", "ca", 0644}};
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		const char *text = json_str(made, files[i].member);
		if (!*text) {
			fprintf(stderr,
				"ca.pem is left out: the engine has made no certificate of its own yet. Run this again "
				"when it listens.\n");
			continue;
		}
		int r = path_write(dir_fd, files[i].name, text, strlen(text), files[i].mode, true);
		if (r < 0) {
			return err_sys(e, -r, "cannot write %s", files[i].name);
		}
	}
	return 0;
}

/* The place first: a certificate that cannot be written down would be one that nobody has. */
static int issue(struct cli *cli, const char *name, const char *dir, int64_t days, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	scoped(json) json_t *made = NULL;
	scoped(json) json_t *body = json_pack("{sI}", "days", (json_int_t)days);
	path_add(&path, "/wherry/v1/users/", name, "/certificates");
	scoped(close) int dir_fd = -1;
	if (open_dir(dir, &dir_fd, e) < 0 ||
		engine_json(cli, "POST", buf_str(&path), body, &made, e) < 0 ||
		write_files(dir_fd, made, e) < 0) {
		return -1;
	}
	printf("%s\n", json_str(made, "id"));
	return 0;
}

static int take_away(struct cli *cli, const char *name, const char *id, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, "/wherry/v1/users/", name, "/certificates/");
	path_add(&path, "", id, "");
	return engine_json(cli, "DELETE", buf_str(&path), NULL, NULL, e);
}

int command_user_cert(struct cli *cli, int argc, char **argv)
{
	const char *out = NULL;
	const char *gone = NULL;
	int64_t days = 365;
	const struct flag flags[] = {
		{"out", 'o', FLAG_STRING, &out, "dir",
			"Issue a certificate: write ca.pem, cert.pem and key.pem into this directory"},
		{"days", 0, FLAG_INT, &days, NULL, "How long it is good for"},
		{"revoke", 0, FLAG_STRING, &gone, "id",
			"Take the certificate of this id away (user ls shows it), or 'all'"},
		{0},
	};
	const struct syntax s = {"user cert", "[OPTIONS] USER",
		"Issue or revoke certificates for the remote API, for DOCKER_CERT_PATH", 1, 1,
		false};
	int status = flags_parse(&s, flags, &argc, argv);
	struct err e;
	if (status >= 0) {
		return status;
	}
	if (!out == !gone) {
		(void)err_set(&e, ERR_INVALID, "expected --out or --revoke");
		return flags_refuse(&s, &e);
	}
	int r = out ? issue(cli, argv[1], out, days, &e) : take_away(cli, argv[1], gone, &e);
	return r < 0 ? cli_fail(&e) : 0;
}
