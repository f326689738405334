FROM lang-base:1 AS a
ONBUILD copy file /ob
ONBUILD RUN echo hi > /ran
ONBUILD label x=y
FROM a
LABEL own=1
