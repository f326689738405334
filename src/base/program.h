/* base/program.h - where the programs of this project are. */
#pragma once

/* A helper: beside the program that runs, in the folder of that name beside its own (the build
 * tree), or in libexec. The caller's string, or NULL. */
char *program_find(const char *name, const char *folder, const char *libexec);
