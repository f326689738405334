/* wherry/build_hint.h - what to do about an error of a build. */
#pragma once

/* One sentence, or NULL. */
const char *build_hint(const char *error);
