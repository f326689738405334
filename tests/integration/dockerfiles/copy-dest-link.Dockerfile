FROM lang-base:1
RUN mkdir -p /real/inner && ln -s /real /abs && ln -s real/inner /rel && ln -s ../../../../real /up
COPY file /abs/one
COPY dir /up
COPY file /abs/inner/../two
