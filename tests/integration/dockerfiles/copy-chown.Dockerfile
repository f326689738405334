FROM lang-base:1
COPY --chown=app file /p/q/f
COPY --chown=app:extra dir /d
COPY --chown=1234 setuid /n
COPY --chown=1234:5678 link /l
COPY --chown=:1001 file /g
