FROM lang-base:1
COPY --chwon=1 file /
