FROM lang-base:1 AS a
ARG V=stage
ENV E=$V
FROM a
LABEL v=$V e=$E
