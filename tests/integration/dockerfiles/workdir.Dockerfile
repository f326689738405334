FROM lang-base:1
ENV D=sub
WORKDIR /w
WORKDIR $D/x
WORKDIR ../y/
WORKDIR /w/z/../q
