FROM lang-base:1
RUN mkdir /there && echo x > /there/x
COPY file /there
COPY exec /there/x
