FROM lang-base:1 AS a
RUN mkdir -m 2750 /s && echo x > /s/f && chown -R 1000:1001 /s && chmod 6755 /s/f && ln -s f /s/l && mknod /s/p p && touch -d 2001-02-03 /s/old
FROM lang-base:1
COPY --from=a /s /d
COPY --from=a /s/f /s/l /e/
COPY --from=0 --chown=3:4 /s /c
