/* api/handlers.h - every route handler, by resource; the table in route.c says which path leads to
 * which. */
#pragma once

struct call;
typedef void handler_fn(struct call *c);

/* system.c, auth.c, info.c, disk.c, events.c */
handler_fn system_ping, system_version, system_auth, system_info, system_df, system_events;
/* containers.c, container_list.c, container_prune.c */
handler_fn containers_list, containers_create, containers_inspect, containers_start,
	containers_stop, containers_restart, containers_kill, containers_remove, containers_rename,
	containers_pause, containers_unpause, containers_resize, containers_prune;
/* container_streams.c */
handler_fn containers_logs, containers_wait;
/* container_attach.c */
handler_fn containers_attach, containers_attach_ws;
/* container_usage.c */
handler_fn containers_stats, containers_top, containers_update;
/* archives.c */
handler_fn archives_head, archives_get, archives_put, archives_export, archives_changes;
/* commits.c */
handler_fn commits_create;
/* metrics.c */
handler_fn system_metrics;
/* execs.c */
handler_fn execs_create, execs_start, execs_inspect, execs_resize;
/* images.c */
handler_fn images_list, images_inspect, images_history, images_tag, images_remove, images_prune;
/* image_streams.c */
handler_fn images_create, images_load;
/* image_save.c */
handler_fn images_save, images_save_one;
/* image_push.c */
handler_fn images_push;
/* registry.c */
handler_fn images_search, distribution_inspect;
/* image_verify.c */
handler_fn images_verify;
/* builds.c */
handler_fn builds_create, builds_prune, builds_cancel;
handler_fn buildkit_grpc, buildkit_session;
/* networks.c */
handler_fn networks_list, networks_inspect, networks_create, networks_remove, networks_connect,
	networks_disconnect, networks_prune;
/* volumes.c */
handler_fn volumes_list, volumes_inspect, volumes_create, volumes_remove, volumes_prune;
handler_fn volumes_put_credentials;
/* takeovers.c */
handler_fn containers_take_over, containers_sockets;
/* devices.c */
handler_fn devices_list, devices_get, devices_events;
/* ingress.c */
handler_fn ingress_get;
/* projects.c */
handler_fn projects_list, projects_get, projects_put, projects_remove;
/* users.c */
handler_fn users_list, users_get, users_create, users_update, users_remove, users_password,
	users_sign_out, users_totp_new, users_totp_set, users_totp_remove;
/* user_certificates.c */
handler_fn user_certificates_issue, user_certificates_revoke;
/* absent.c */
handler_fn absent_swarm, absent_swarm_start, absent_swarm_leave, absent_cluster_volume,
	absent_plugins, absent_plugin, absent_plugin_store, absent_experiment;
