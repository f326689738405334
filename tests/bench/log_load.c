/* log_load MB [line] - writes that many megabytes of lines of 100 bytes to stdout, in blocks or one
 * write each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	static const char line[] =
		"2026-11-27 INFO some.module.name request handled in 12 ms path=/index.html status=200 bytes=51\n";
	long bytes = argc > 1 ? strtol(argv[1], NULL, 10) * 1000000 : 0;
	setvbuf(stdout, NULL, argc > 2 ? _IOLBF : _IOFBF, 4096);
	for (; bytes > 0; bytes -= (long)strlen(line)) {
		if (fputs(line, stdout) < 0) {
			return 1;
		}
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
