FROM lang-base:1
RUN umask 077; echo x > /x; mkdir -m 1777 /t; ln -s x /l; chown 1000:1001 /x; chmod 2755 /x; mkfifo /p 2>/dev/null || mknod /p p
RUN echo y >> /x; chmod 4700 /x
