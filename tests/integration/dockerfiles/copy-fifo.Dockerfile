FROM lang-base:1
COPY fifo /p/
COPY sock* /s/
