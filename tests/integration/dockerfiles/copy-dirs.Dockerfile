FROM lang-base:1
COPY dir x /x/
COPY empty /x/sub/
