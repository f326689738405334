FROM lang-base:1
ENV V=/v
VOLUME /a $V/b "/quoted"
VOLUME ["/j s", "/k"]
RUN ls -d /a >/seen 2>&1; mkdir -p /a; echo kept > /a/f
