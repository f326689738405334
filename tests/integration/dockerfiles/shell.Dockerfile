FROM lang-base:1
SHELL ["/bin/sh", "-ec"]
CMD run
ENTRYPOINT enter
HEALTHCHECK CMD check me
