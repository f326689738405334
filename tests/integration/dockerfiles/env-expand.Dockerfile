FROM lang-base:1
ENV e= s=value p=/usr/local/lib.tar.gz
ENV a=${u:-dflt} b=${u-dflt} c=${e:-dflt} d=${e-dflt}
ENV f=${s:+alt} g=${s+alt} h=${u:+alt} i=${e+alt} j=${e:+alt}
ENV k=${u:-${s:-x}} l=$s$u$s m=${s}x n=$$ o=$1 q=$@ r=\${s}
