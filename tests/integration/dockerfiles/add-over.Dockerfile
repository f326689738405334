FROM lang-base:1
RUN mkdir -p /o/m && echo old > /o/m/f && ln -s /etc /o/m/l && chmod 700 /o/m
ADD tars/t.tar /o
