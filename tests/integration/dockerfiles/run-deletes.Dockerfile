FROM lang-base:1
RUN rm /etc/group && mkdir /n && touch /n/a
RUN rm -r /n && mkdir /n && touch /n/b
RUN mv /root /moved
