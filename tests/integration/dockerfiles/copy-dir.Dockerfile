FROM lang-base:1
COPY dir /d
COPY dir/ /d2/
COPY dir /tmp
COPY empty /e
COPY deep empty /x/
