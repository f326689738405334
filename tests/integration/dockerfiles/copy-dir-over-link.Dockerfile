FROM lang-base:1
RUN mkdir -p /r/usr/sbin && ln -s usr/sbin /r/sbin && ln -s /etc/passwd /r/file
COPY sbin /r/sbin
COPY file /r/file
