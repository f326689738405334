FROM lang-base:1
RUN ln -s /loop /loop
COPY file /loop
