FROM lang-base:1
ENV p=/usr/local/lib.tar.gz
ENV a=${p#*/} b=${p##*/} c=${p%.*} d=${p%%.*} e=${p/l/L} f=${p//l/L} g=${p#?usr} h=${p%gz}
