FROM lang-base:1
COPY nope /x
