FROM lang-base:1
ADD --chown=app file dir /d/
