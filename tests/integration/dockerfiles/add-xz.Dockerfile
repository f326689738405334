FROM lang-base:1
ADD tars/t.tar.xz /x/
