FROM lang-base:1
MAINTAINER someone <x@y>
