FROM lang-base:1
COPY dir deep /x/
