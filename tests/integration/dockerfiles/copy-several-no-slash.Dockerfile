FROM lang-base:1
COPY file exec /tmp
