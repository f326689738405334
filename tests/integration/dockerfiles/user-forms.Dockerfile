FROM lang-base:1
ENV U=app
USER $U:extra
