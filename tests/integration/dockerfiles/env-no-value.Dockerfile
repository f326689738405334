FROM lang-base:1
ENV a
