FROM lang-base:1
COPY <<EOF /e
EOF
