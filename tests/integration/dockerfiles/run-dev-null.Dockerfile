FROM scratch
COPY --from=lang-base:1 / /
RUN echo x > /y
