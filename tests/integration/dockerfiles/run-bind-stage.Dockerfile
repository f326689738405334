FROM lang-base:1 AS a
RUN echo tool > /tool
FROM lang-base:1
RUN --mount=from=a,source=/tool,target=/m/t cp /m/t /got
