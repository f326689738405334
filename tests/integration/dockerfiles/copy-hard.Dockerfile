FROM lang-base:1 AS a
RUN mkdir /h && echo x > /h/1 && ln /h/1 /h/2
FROM lang-base:1
COPY --from=a /h /from
