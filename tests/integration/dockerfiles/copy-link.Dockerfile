FROM lang-base:1
COPY --link file /new/f
COPY --link --chown=1:2 dir /d
