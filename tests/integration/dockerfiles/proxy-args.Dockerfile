FROM lang-base:1
RUN echo "$http_proxy $HTTP_PROXY $no_proxy" > /proxy
# build: --build-arg=http_proxy=http://p:1 --build-arg=NO_PROXY=x
