FROM lang-base:1
COPY $NOPE /x
