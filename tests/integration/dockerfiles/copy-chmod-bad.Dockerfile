FROM lang-base:1
COPY --chmod=99 file /
