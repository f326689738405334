FROM lang-base:1
WORKDIR /tmp
WORKDIR /lib/x
