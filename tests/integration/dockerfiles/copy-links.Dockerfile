FROM lang-base:1
COPY link /l
COPY linkdir /ld
COPY abs /abs
COPY out /out
COPY dir/up /up
