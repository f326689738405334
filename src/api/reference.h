/* api/reference.h - image names and platforms as they come in queries: a name and, apart from it, a
 * tag.
 */
#pragma once
struct err;
struct image;

/* "repo" and "tag" as one name, "repo:tag"; "latest" when neither has one, tag NULL or "" when
 * absent. The caller's; NULL with *e. moby httputils.RepoTagReference */
char *reference_join(const char *repo, const char *tag, struct err *e);
/* "linux", "arm64", "linux/arm/v7": ERR_INVALID for something else. */
int platform_check(const char *platform, struct err *e);
/* And an image of it can be here: the system is linux. */
int platform_check_import(const char *platform, struct err *e);
/* ERR_NOT_FOUND when the image, found as name, is for another one. */
int platform_check_image(
	const struct image *i, const char *name, const char *platform, struct err *e);
