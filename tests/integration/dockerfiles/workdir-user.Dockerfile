FROM lang-base:1
USER app
WORKDIR /srv/own/deep
WORKDIR rel
