/* worker/build_annotations.h - the annotations that a build asks for, by what they are put on. */
#pragma once
#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

/* An exporter's attributes "annotation[-KIND][[PLATFORM]].KEY" (moby/buildkit
 * exporter/containerimage/exptypes/annotations.go; what is no such name is left alone) for images
 * of these platforms. *ret_common: {"index", "index-descriptor"}; *ret_images: an array of
 * {"manifest", "manifest-descriptor"}, one for each platform. All of them objects of KEY: value;
 * new references. ERR_INVALID for an unknown kind, and a platform that none of them has. */
int build_annotations(const json_t *attrs, const char *const *platforms, size_t n,
	json_t **ret_common, json_t **ret_images, struct err *e);
