FROM lang-base:1 AS me
COPY --from=1 /etc/passwd /x
FROM lang-base:1
COPY --from=me /x /y
