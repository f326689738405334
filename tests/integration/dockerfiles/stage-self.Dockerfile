FROM lang-base:1 AS me
COPY --from=me file /
