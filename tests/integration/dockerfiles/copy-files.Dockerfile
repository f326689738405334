FROM lang-base:1
COPY file /a
COPY exec setuid secret /many/
COPY file /new/dir/name
COPY .hidden /tmp
WORKDIR /w
COPY file rel
COPY file .
COPY file ./sub/
