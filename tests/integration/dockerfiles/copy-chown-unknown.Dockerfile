FROM lang-base:1
COPY --chown=nobody2 file /
