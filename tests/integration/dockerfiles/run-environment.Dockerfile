FROM lang-base:1
ARG A=1
ENV E=2
RUN umask > /u; pwd >> /u; env | grep -v -e ^HOSTNAME -e ^SHLVL | sort > /env; cat < /dev/stdin | wc -c >> /u
