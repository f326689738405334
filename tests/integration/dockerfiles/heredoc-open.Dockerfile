FROM lang-base:1
RUN <<EOF
echo
