FROM lang-base:1
RUN mkdir /d && ln -s /etc/passwd /d/file && ln -s /nowhere /d/exec
COPY file exec /d/
