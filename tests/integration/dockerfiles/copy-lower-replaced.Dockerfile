FROM lang-base:1
RUN rm -r /usr/lib && echo x > /etc/passwd
COPY dir /usr/lib
RUN rm -r /tmp && mkdir /tmp && touch /tmp/n
