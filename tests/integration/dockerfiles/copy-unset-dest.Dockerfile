FROM lang-base:1
WORKDIR /w
COPY file $NOPE
