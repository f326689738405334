FROM lang-base:1 AS a
FROM lang-base:1
ARG S=a
COPY --from=$S /etc/passwd /
