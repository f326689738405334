FROM lang-base:1
COPY broken /b
