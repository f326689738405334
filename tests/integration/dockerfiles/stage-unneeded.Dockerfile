FROM lang-base:1 AS broken
RUN exit 1
FROM lang-base:1
LABEL ok=1
