FROM lang-base:1
USER app
RUN id -u > /tmp/i; id -g >> /tmp/i; id -G >> /tmp/i; echo $HOME >> /tmp/i
USER app:extra
RUN id -G > /tmp/e
USER 4711
RUN id -u > /tmp/u; id -g >> /tmp/u; echo $HOME >> /tmp/u
