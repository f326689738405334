FROM lang-base:1
ENTRYPOINT [""]
CMD []
