FROM lang-base:1
LABEL a=1 \
  b=2
# c
CMD ["x"]
