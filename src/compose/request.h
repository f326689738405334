/* compose/request.h - the engine's request bodies for a service, a network and a volume.
 *
 * Docker API v1.43 ContainerCreate, NetworkCreate, VolumeCreate; with the labels that docker
 * compose v2 writes, so that the two manage each other's projects. Pure: asks nobody.
 */
#pragma once
#include <jansson.h>

#include "compose/model.h"

#define LABEL "com.docker.compose."

struct request_container {
	const struct service *service;
	int number;              /* container-number */
	const char *image_id;    /* label `image`: what the image's name meant when this was made */
	const char *hash;        /* label `config-hash` */
	const char *files;       /* label wherry.compose.files, compose/content.h; NULL: none */
	const char *replaces_id; /* label wherry.replaces: it starts while that one runs; NULL */
	const char *replaces;    /* name of the container that this one takes the place of; NULL */
	const char *one_off; /* slug of a `run` container: its label, no number; NULL for `up` */
	/* the container of service S that "service:S" stands for; NULL when there is none yet */
	const char *(*container_of)(void *owner, const char *service);
	/* The text of a file of this machine, the caller's; NULL with *e. NULL: the engine gets the
	 * path ("seccomp=FILE") */
	char *(*read_file)(void *owner, const char *path, struct err *e);
	void *owner;
	const char *api_socket; /* for use_api_socket; NULL: Docker's */
};

/* Where a service with use_api_socket finds the registry logins, config.json. */
#define REQUEST_LOGINS_DIR "/run/secrets/docker"

/* A new document; NULL with *e when a namespace refers to a service that has no container. */
json_t *request_container(
	const struct project *p, const struct request_container *r, struct err *e);
json_t *request_network(const struct project *p, const struct network *n);
/* The body of POST /containers/X/exec. */
json_t *request_hook(const struct hook *h, bool tty);
json_t *request_volume(const struct project *p, const struct volume *v);
/* The body of POST /networks/X/connect's EndpointConfig; container_name is one of the aliases. */
json_t *request_endpoint(
	const struct service *s, const struct endpoint *e, const char *container_name);

/* PROJECT-SERVICE-N, or container_name. The caller's. */
char *request_container_name(const struct project *p, const struct service *s, int number);
