FROM lang-base:1 AS a
ADD tars/able.tar /c/
FROM lang-base:1
COPY --from=a /c/able /one
COPY --from=a /c /dir
COPY --from=a --chown=app /c /owned
