FROM lang-base:1
ENV F=file D=/to
COPY ${F} $D/$F
COPY "file" '/q'
COPY names/\$v /dollar
