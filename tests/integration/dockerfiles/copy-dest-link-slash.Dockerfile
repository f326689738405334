FROM lang-base:1
RUN mkdir -p /real/inner && ln -s real/inner /rel
COPY file /rel/
