FROM lang-base:1
RUN ln -s /not/yet /dangling
COPY file /dangling
