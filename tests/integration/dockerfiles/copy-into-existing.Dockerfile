FROM lang-base:1
RUN mkdir -m 700 /d /d/sub && chown 1000:1001 /d /d/sub && echo old > /d/a && chmod 600 /d/a && chown 5 /d/a
COPY dir /d
