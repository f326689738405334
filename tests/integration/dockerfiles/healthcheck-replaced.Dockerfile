FROM lang-base:1 AS a
HEALTHCHECK --interval=5m --retries=9 CMD a
FROM a
HEALTHCHECK --timeout=1s CMD b || exit 1
