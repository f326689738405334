ARG G=global H
ARG I=$G-i
FROM lang-base:1 AS one
ARG G
ARG H=dflt
ARG I
ARG J=j K=$J$G
LABEL g=$G h=$H i=$I j=$J k=$K none=$NONE
# build: --build-arg=H=given --build-arg=UNUSED=1
