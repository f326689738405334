FROM lang-base:1 AS x
LABEL n=1
FROM lang-base:1 AS broken
RUN exit 1
# build: --target=X
