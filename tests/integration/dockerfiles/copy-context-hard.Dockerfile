FROM lang-base:1
COPY hard /ctx
