FROM lang-base:1
RUN ["/bin/sh", "-c", "echo \"$0 $HOME\" > /j"]
RUN [ -f /j ] && echo yes > /test
