FROM lang-base:1
EXPOSE 80/ip
