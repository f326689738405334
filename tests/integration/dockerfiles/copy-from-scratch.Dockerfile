FROM scratch
COPY --from=lang-base:1 /etc/passwd /etc/group /e/
COPY --from=lang-base:1 /lib /lib
