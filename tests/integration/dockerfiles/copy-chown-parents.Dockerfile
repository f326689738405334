FROM lang-base:1
COPY --chown=app dir /home/app/deep
COPY --chown=7:8 file /tmp/x/y/z
