FROM lang-base:1
RUN exit 42
