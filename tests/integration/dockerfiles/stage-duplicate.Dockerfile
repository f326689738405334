FROM lang-base:1 AS x
LABEL n=1
FROM lang-base:1 AS X
LABEL n=2
FROM x
LABEL last=1
