FROM lang-base:1
COPY secret /x
