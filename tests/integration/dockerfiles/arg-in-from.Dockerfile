ARG TAG=1
ARG NAME=lang-base
FROM ${NAME}:${TAG} AS base
FROM base
LABEL n=$NAME
