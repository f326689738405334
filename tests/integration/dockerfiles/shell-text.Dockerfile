FROM lang-base:1
SHELL /bin/sh -c
