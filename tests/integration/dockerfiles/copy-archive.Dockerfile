FROM lang-base:1
COPY tars/t.tar.gz /a/
