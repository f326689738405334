FROM lang-base:1
RUN echo x > /there
COPY dir /there
